"""How a run or a sweep went, from Hydra's callbacks to the exit code.

Hydra throws away what jobs return and turns a callback's exception into a warning; only `SystemExit` gets
through, so that is how a failure leaves.
"""

from __future__ import annotations

import json
from operator import itemgetter
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from distill_cli.hydra_app.job import ERROR, RESULT, Failure
from distill_cli.runtime.console import complain, say
from distill_cli.runtime.shared import shared


class JobsFailed(SystemExit):
    """Its code is that of the first job that failed."""


class Outcome(Callback):
    def __init__(self) -> None:
        self.before: dict[Path, int] = {}

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status == JobStatus.COMPLETED and isinstance(job_return.return_value, Failure):
            raise JobsFailed(job_return.return_value.exit_code)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self.before = _records(Path(config.hydra.sweep.dir))  # the directory may hold an earlier sweep

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        shared.release()
        sweep = Path(config.hydra.sweep.dir)
        fresh = [path for path, time in _records(sweep).items() if self.before.get(path) != time]
        failures = sorted((_read(path) for path in fresh if path.name == ERROR), key=itemgetter("job"))
        count = len({path.parent for path in fresh})
        jobs = "1 job" if count == 1 else f"{count} jobs"
        say(f"{jobs}: {count - len(failures)} done, {len(failures)} failed ({sweep})")
        for failure in failures:
            complain(f"#{failure['job']} {' '.join(failure['overrides'])}: {failure['message']}")
        if failures:
            raise JobsFailed(failures[0]["exit_code"])


def _read(path: Path) -> dict[str, Any]:
    try:
        failure: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # it failed, whatever it meant to say
        return {"exit_code": 1, "message": f"{path}: {error}", "overrides": [], "job": -1}
    return failure


def _records(sweep: Path) -> dict[Path, int]:
    """What each job left last, and when."""
    return {path: path.stat().st_mtime_ns for name in (ERROR, RESULT) for path in sweep.rglob(name)}
