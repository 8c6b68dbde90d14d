"""What Hydra's launchers mean for a job: whether it has company, and how much of the machine is left for it."""

from __future__ import annotations

from omegaconf import DictConfig

from distill_cli.runtime.console import counted
from distill_cli.runtime.cores import cores, hand_down

SERIAL = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher."
ALL_AT_ONCE = f"{SUBMITIT}LocalLauncher"


def is_parallel(launcher: DictConfig) -> bool:
    """Whether jobs run side by side: then their lines need a number, and a progress bar has no place."""
    return bool(launcher._target_ != SERIAL)


def workers(launcher: DictConfig) -> int:
    """Jobs that joblib runs at once: -1 is one a core, -2 one less. 1 for other launchers."""
    asked = int(launcher.n_jobs) if launcher._target_ == JOBLIB else 1
    return asked if asked > 0 else max(1, cores() + 1 + asked)


def share_machine(launcher: DictConfig, jobs: int, batch: int) -> str:
    """Give each job its part of the cores, if it is this machine that runs them; what was done, in words.

    `batch` is how many of the jobs the launcher gets in one go. Either number is 0 where only the sweeper knows.
    """
    words = [counted(jobs, "job")] if jobs else []
    if launcher._target_ in (JOBLIB, ALL_AT_ONCE):
        all_cores = cores()
        most = workers(launcher) if launcher._target_ == JOBLIB else batch or all_cores
        at_once = min(most, batch) if batch else most
        share = max(1, all_cores // at_once)
        hand_down(share)
        words.append(f"{at_once} at a time, each on {share} of {counted(all_cores, 'core')}")
    return ", ".join(words)
