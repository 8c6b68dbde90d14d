"""What happens before the first job of a sweep and after the last one, and how a failure gets out of Hydra.

Hydra throws away what jobs return and turns a callback's exception into a warning; only `SystemExit` gets
through, so that is how everything leaves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from distill_cli.artifacts.records import Records
from distill_cli.hydra_app.job import Failure
from distill_cli.hydra_app.launchers import is_parallel, share_machine
from distill_cli.hydra_app.sweep import Sweep
from distill_cli.hydra_app.verdict import judge
from distill_cli.runtime.console import complain, counted, say
from distill_cli.runtime.shared import shared


class JobsFailed(SystemExit):
    """Its code is that of the first job that failed."""


class Outcome(Callback):
    sweeping: ClassVar[Outcome | None] = None  # for whoever sees Hydra fail

    def __init__(self) -> None:
        self.sweep = Path()
        self.before: dict[Path, int] = {}
        self.jobs = 0

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status == JobStatus.COMPLETED and isinstance(job_return.return_value, Failure):
            raise JobsFailed(job_return.return_value.exit_code)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self.sweep = Path(config.hydra.sweep.dir)
        self.before = Records.below(self.sweep).times()  # the directory may hold an earlier sweep
        try:
            self.jobs = _prepare(Sweep.of(config))
        except Exception as error:
            complain(judge(error, config.hydra.overrides.task).message)
            raise SystemExit(2) from error
        Outcome.sweeping = self

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        code = self.tell()
        if code:
            raise JobsFailed(code)

    def tell(self, *, was_cut: bool = False) -> int:
        """What was made, in a table, and what failed; the exit code.

        A sweep that was cut has jobs that never began.
        """
        Outcome.sweeping = None
        shared.release()
        fresh = Records.below(self.sweep).but(self.before)
        failures = sorted(map(_read, fresh.errors), key=itemgetter("job"))
        lines = [f"#{one['job']} {' '.join(one['overrides'])}: {one['message']}" for one in failures]
        missing = max(0, self.jobs - fresh.jobs) if was_cut else 0
        jobs = fresh.jobs + missing
        code = _report(self.sweep, fresh.results, lines, jobs)
        ends = [f"{fresh.jobs - len(failures)} done", f"{len(failures)} failed"]
        ends += [f"{missing} not started"] if missing else []
        say(f"{counted(jobs, 'job')}: {', '.join(ends)} ({self.sweep})")
        for line in lines:
            complain(line)
        return int(failures[0]["exit_code"]) if failures else code


def _prepare(sweep: Sweep) -> int:
    """How many jobs there will be. Raises where it is better not to start."""
    sweep.check()
    words = share_machine(sweep.launcher, sweep.jobs, sweep.batch) if is_parallel(sweep.launcher) else ""
    if words:
        say(words)
    return sweep.jobs


def _report(sweep: Path, done: Sequence[Path], failures: Sequence[str], jobs: int) -> int:
    """The table and the page of what was made; the exit code. Losing these is not to lose what jobs had to say."""
    try:
        from distill_cli.comparison.sweep import report_sweep

        results = [json.loads(path.read_text(encoding="utf-8")) for path in done]
        report_sweep(sweep, results, failures, jobs)
    except Exception as error:
        verdict = judge(error)
        complain(f"no table of this sweep: {verdict.message}")
        return verdict.exit_code
    return 0


def _read(path: Path) -> dict[str, Any]:
    try:
        failure: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # it failed, whatever it meant to say
        return {"exit_code": 1, "message": f"{path}: {error}", "overrides": [], "job": -1}
    return failure
