"""`hydra/sweeper=optuna`: trials in search of the best validation accuracy, where a job may fail.

Hydra takes sweepers from `hydra_plugins` alone, so ours stands in under the name of the plugin that it wraps. The
plugin by itself would minimise, never try the same settings twice in the same order, complain about a failed job in
its own words, end with a traceback where all failed, and go on whatever `max_failure_rate` says.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from distill_cli.errors import ConfigError
from distill_cli.hydra_app.job import Failure
from distill_cli.hydra_app.launchers import workers
from distill_cli.runtime.console import complain

PLUGIN = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
AS_LAUNCHED = -1  # trials at once: as many as the launcher runs
DIRECTIONS = ("maximize", "minimize")


def offer() -> None:
    """Let Hydra find the search, with our defaults, if the plugin is installed."""
    if PLUGIN not in Plugins.instance().class_name_to_class:
        return
    from hydra_plugins.hydra_optuna_sweeper import config

    Plugins.instance().class_name_to_class[PLUGIN] = Search
    store, maximize = ConfigStore.instance().store, config.Direction.maximize
    search = config.OptunaSweeperConf(direction=maximize, n_jobs=AS_LAUNCHED, max_failure_rate=1.0)
    store(group="hydra/sweeper", name="optuna", node=search)
    samplers = {  # seeded: the same command tries the same settings, which is what makes it resume
        "cmaes": config.CmaEsSamplerConfig(seed=0),
        "motpe": config.MOTPESamplerConfig(seed=0),
        "nsgaii": config.NSGAIISamplerConfig(seed=0),
        "random": config.RandomSamplerConfig(seed=0),
        "tpe": config.TPESamplerConfig(seed=0),
    }
    for name, sampler in samplers.items():
        store(group="hydra/sweeper/sampler", name=name, node=sampler)


def check(sweeper: DictConfig) -> None:
    """Raises `ConfigError` for a number that makes no sense."""
    if sweeper.n_trials < 1:
        raise ConfigError(f"hydra.sweeper.n_trials={sweeper.n_trials}: must be at least 1")
    if sweeper.n_jobs < 1 and sweeper.n_jobs != AS_LAUNCHED:
        raise ConfigError(f"hydra.sweeper.n_jobs={sweeper.n_jobs}: must be at least 1")
    if not 0 <= sweeper.max_failure_rate <= 1:
        raise ConfigError(f"hydra.sweeper.max_failure_rate={sweeper.max_failure_rate}: must be from 0 to 1")
    if sweeper.storage is not None and sweeper.study_name is None:
        raise ConfigError("hydra.sweeper.storage needs hydra.sweeper.study_name=NAME to find the study again")
    direction = getattr(sweeper.direction, "name", sweeper.direction)
    if direction not in DIRECTIONS:
        raise ConfigError(f"hydra.sweeper.direction={direction}: must be {' or '.join(DIRECTIONS)}")


def check_range(override: Override, typed: str) -> None:
    """Raises `ConfigError` for an interval without anything in it, which optuna finds once it has begun."""
    found = override.value()
    if not isinstance(found, IntervalSweep):
        return
    low, high = found.start, found.end
    if low is None or high is None or not low < high:
        raise ConfigError(f"{typed}: an interval goes from a smaller number to a larger one")
    if "log" in found.tags and low <= 0:
        raise ConfigError(f"{typed}: an interval on a log scale starts above 0")


def trials_at_once(sweeper: DictConfig, launcher: DictConfig) -> int:
    return workers(launcher) if sweeper.n_jobs == AS_LAUNCHED else int(sweeper.n_jobs)


class TrialFailed(Exception):
    """What the plugin gets to see of a job that failed."""


class Search(Sweeper):
    def __init__(self, storage: str | None, **settings: Any) -> None:
        import optuna
        from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

        optuna.logging.set_verbosity(logging.CRITICAL)  # the jobs and the table say what there is to say
        self.storage = storage
        self.plugin: Any = OptunaSweeper(storage=None, **settings).sweeper

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.plugin.storage = _open(self.storage)
        self.plugin.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.plugin.n_jobs = trials_at_once(config.hydra.sweeper, config.hydra.launcher)
        self.trials = _Trials(self.plugin.launcher)
        self.plugin.launcher = self.trials

    def sweep(self, arguments: list[str]) -> None:
        """Returns also where trials failed: the outcome of the sweep names them.

        Raises `ConfigError` where optuna refuses to begin.
        """
        try:
            self.plugin.sweep(arguments)
        except TrialFailed:
            complain("more trials failed than hydra.sweeper.max_failure_rate allows; the search ends here")
        except ValueError as error:  # also how optuna says that there is no best trial
            if not self.trials.launched:
                raise ConfigError(f"the search cannot start: {' '.join(str(error).split())}") from error
            if self.trials.succeeded:
                raise


@dataclass
class _Trials:
    """A launcher of jobs whose value can be asked for: that of a failed one raises, and no line says so."""

    launcher: Launcher
    launched: int = field(default=0, init=False)
    succeeded: int = field(default=0, init=False)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[_Trial]:
        self.launched += len(job_overrides)
        jobs = self.launcher.launch(job_overrides, initial_job_idx)
        trials = [_Trial(job.return_value) for job in jobs]
        if any(trial.returned is None for trial in trials):
            raise ConfigError("a search needs the validation accuracy, and this command has none to give")
        self.succeeded += sum(trial.accuracy is not None for trial in trials)
        return trials


@dataclass(frozen=True)
class _Trial:
    returned: Any

    @property
    def accuracy(self) -> float | None:
        """On validation; a student that missed its gate has one, too."""
        return self.returned.accuracy if isinstance(self.returned, Failure) else float(self.returned)

    @property
    def return_value(self) -> float:
        """What the plugin asks for."""
        if self.accuracy is None:
            raise TrialFailed(self.returned.message)
        return self.accuracy


def _open(storage: str | None) -> Any:
    """Raises `ConfigError`.

    Optuna 2 writes its schema's version on a connection that SQLAlchemy 2 does not commit, unless told to.
    """
    if storage is None:
        return None
    from optuna.exceptions import OptunaError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return RDBStorage(storage, engine_kwargs={"isolation_level": "AUTOCOMMIT"})
    except (OptunaError, SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise ConfigError(
            f"hydra.sweeper.storage={storage}: cannot be opened; {reason.rstrip('.')}"
        ) from error
