"""What a sweep is about to do, looked at before its first job starts.

Hydra composes every job of a sweep before it launches one, so wrong names and values are found without us. What it
accepts in silence is found here: nothing to sweep, one value twice, an extra that is not installed.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from distill_cli.config.overrides import as_typed
from distill_cli.errors import ConfigError
from distill_cli.hydra_app import search
from distill_cli.hydra_app.launchers import JOBLIB

BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class Sweep:
    sweeper: DictConfig
    launcher: DictConfig
    words: list[str]  # the sweeper's own settings, and then those of the command line

    @classmethod
    def of(cls, config: DictConfig) -> Sweep:
        sweeper, task = config.hydra.sweeper, config.hydra.overrides.task
        params = OmegaConf.to_container(sweeper.get("params") or OmegaConf.create({}))
        assert isinstance(params, dict)
        words = [*(f"{key!s}={value}" for key, value in params.items()), *task]
        return cls(sweeper, config.hydra.launcher, words)

    @property
    def searches(self) -> bool:
        return bool(self.sweeper._target_ == search.PLUGIN)

    @property
    def jobs(self) -> int:
        """How many there will be, or 0 where only the sweeper knows."""
        if self.searches:
            return int(self.sweeper.n_trials)
        if self.sweeper._target_ != BASIC:
            return 0
        return math.prod(len(_values(override)) for override in self.swept)

    @property
    def batch(self) -> int:
        """How many of them the launcher gets in one go."""
        if self.searches:
            return search.trials_at_once(self.sweeper, self.launcher)
        return int(self.sweeper.get("max_batch_size") or self.jobs)

    @cached_property
    def swept(self) -> list[Override]:
        """The settings with several values. Of one that is given twice, the last counts, as in Hydra."""
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        last = {override.get_key_element(): override for override in parser.parse_overrides(self.words)}
        return [override for override in last.values() if override.is_sweep_override()]

    def check(self) -> None:
        """Raises `ConfigError`."""
        if self.launcher._target_ == JOBLIB and self.launcher.n_jobs == 0:
            raise ConfigError("hydra.launcher.n_jobs=0: must be at least 1, or -1 for one job a core")
        if self.searches:
            self._check_search()
        elif self.sweeper._target_ == BASIC:
            self._check_grid()

    def _check_grid(self) -> None:
        for override in self.swept:
            if not override.is_discrete_sweep():
                raise ConfigError(
                    f"{_typed(override)}: a range to search needs hydra/sweeper=optuna; else name its values"
                )
            if not _values(override):
                raise ConfigError(f"{_typed(override)} has no values, so there is no job")
            _check_repetition(override)
        if not self.swept:
            raise ConfigError(
                f"-m has nothing to sweep; give a setting several values, such as {self._example()}, "
                "or leave out -m"
            )

    def _check_search(self) -> None:
        search.check(self.sweeper)
        if not self.swept and not self.sweeper.search_space and not self.sweeper.custom_search_space:
            raise ConfigError(
                "nothing to search; give a setting a range, such as 'temperature=interval(1,20)'"
            )

    def _example(self) -> str:
        """`seed=0,1,2` for who typed `seed=0 seed=1 seed=2`, or whose shell made that of `seed={0..2}`."""
        pairs = [as_typed(word).partition("=") for word in self.words]
        counts = Counter(key for key, _, _ in pairs)
        for key in (key for key, count in counts.items() if count > 1):
            return f"{key}={','.join(value for other, _, value in pairs if other == key)}"
        return "temperature=1,2,4,8"


def _check_repetition(override: Override) -> None:
    seen: set[float | str] = set()
    for text, value in zip(override.sweep_string_iterator(), _values(override), strict=True):
        if value in seen:
            key = as_typed(override.get_key_element())
            raise ConfigError(
                f"{_typed(override)}: {key}={text} is there more than once; name each value once"
            )
        seen.add(value)


def _values(override: Override) -> list[float | str]:
    """Of a discrete sweep. Numbers as numbers, so that 1 and 1.0 are the same."""
    return [_number(text) for text in override.sweep_string_iterator()]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _typed(override: Override) -> str:
    return as_typed(str(override.input_line))
