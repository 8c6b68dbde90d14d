"""What a sweep is about to do, looked at before its first job starts.

What is wrong in any job of a grid is found before the first one starts: names, values, one value twice, nothing to
sweep. A search has its jobs yet to choose; of it, the settings and the ranges are looked at.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError

from distill_cli.config.overrides import as_typed
from distill_cli.errors import ConfigError
from distill_cli.hydra_app import search
from distill_cli.hydra_app.launchers import JOBLIB
from distill_cli.hydra_app.locks import check_locks

BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class Sweep:
    config: DictConfig
    words: list[str]  # the sweeper's own settings, and then those of the command line

    @classmethod
    def of(cls, config: DictConfig) -> Sweep:
        params = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({}))
        task = OmegaConf.to_container(config.hydra.overrides.task)  # its `${seed}` is that of each job
        assert isinstance(params, dict) and isinstance(task, list)
        words = [*(f"{key!s}={value}" for key, value in params.items()), *task]
        return cls(config, words)

    @property
    def sweeper(self) -> DictConfig:
        found: DictConfig = self.config.hydra.sweeper
        return found

    @property
    def launcher(self) -> DictConfig:
        found: DictConfig = self.config.hydra.launcher
        return found

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
        """How many of them the launcher gets in one go, or 0 likewise."""
        if self.searches:
            return search.trials_at_once(self.sweeper, self.launcher)
        return int(self.sweeper.get("max_batch_size") or self.jobs)

    @cached_property
    def overrides(self) -> list[Override]:
        """Of a setting that is given twice, the last counts, as in Hydra."""
        parsed = OverridesParser.create(config_loader=_loader()).parse_overrides(self.words)
        return list({override.get_key_element(): override for override in parsed}.values())

    @property
    def swept(self) -> list[Override]:
        """The settings with several values."""
        return [override for override in self.overrides if override.is_sweep_override()]

    def check(self) -> None:
        """Raises `ConfigError`."""
        if self.launcher._target_ == JOBLIB and self.launcher.n_jobs == 0:
            raise ConfigError("hydra.launcher.n_jobs=0: must be at least 1, or -1 for one job a core")
        if self.searches:
            self._check_search()
        elif self.sweeper._target_ == BASIC:
            self._check_grid()

    def _check_grid(self) -> None:
        size = self.sweeper.get("max_batch_size")
        if size is not None and size < 1:
            raise ConfigError(
                f"hydra.sweeper.max_batch_size={size}: must be at least 1, or null for all jobs"
            )
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
        self._check_jobs()

    def _check_jobs(self) -> None:
        """Names and values. What it takes the data to find, or the job's own directory, the job finds."""
        (jobs,) = BasicSweeper.split_arguments(self.overrides, None)
        for words in jobs:
            composed = _loader().load_sweep_config(self.config, words)
            with open_dict(composed):
                del composed["hydra"]
            with suppress(InterpolationResolutionError):
                OmegaConf.to_object(composed)
        check_locks(self.config, jobs, self.swept)

    def _check_search(self) -> None:
        search.check(self.sweeper)
        for override in self.swept:
            search.check_range(override, _typed(override))
            if override.is_discrete_sweep():
                _check_repetition(override)
        if not self.swept and not self.sweeper.search_space and not self.sweeper.custom_search_space:
            raise ConfigError(
                "nothing to search; give a setting a range, such as 'temperature=interval(1,20)'"
            )

    def _example(self) -> str:
        """`seed=0,1,2` for who typed `seed=0 seed=1 seed=2`, or whose shell made that of `seed={0..2}`."""
        typed: dict[str, dict[str, None]] = {}
        for word in self.words:
            key, _, value = as_typed(word).partition("=")
            typed.setdefault(key, {}).update(dict.fromkeys(value.split(",")))
        several = (f"{key}={','.join(values)}" for key, values in typed.items() if len(values) > 1)
        return next((word for word in several if not set(word) & set("([{'\"")), "temperature=1,2,4,8")


def _loader() -> ConfigLoader:
    return GlobalHydra.instance().config_loader()


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
