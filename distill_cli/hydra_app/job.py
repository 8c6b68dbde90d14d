"""One job: what Hydra calls, in this process or in another one.

A failed job returns a `Failure` and does not raise, so that the other jobs of a sweep go on. What the launching
process learns, wherever the job ran, it reads from `error.json` in the output directory: written before the
work begins and removed when it is done, so that no job can fail, or be killed, without leaving it.
"""

from __future__ import annotations

import traceback
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from distill_cli.artifacts.files import write_bytes, write_json
from distill_cli.artifacts.records import ERROR, JUNIT, RESULT
from distill_cli.config.overrides import as_typed
from distill_cli.errors import GateFailed, Interrupted
from distill_cli.hydra_app.launchers import is_parallel
from distill_cli.hydra_app.verdict import Verdict, describe, is_out_of_memory, judge
from distill_cli.runtime.addresses import without_secrets
from distill_cli.runtime.console import complain, numbered, say
from distill_cli.runtime.shared import shared

TRACEBACK = "traceback.txt"


def forget(output: Path) -> None:
    """Remove what an earlier run left in the same directory: one that fails must not show it."""
    for name in (RESULT, JUNIT, TRACEBACK):
        (output / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Failure:
    """What a failed job returns. `accuracy` is that of a student which missed its gate, and is complete."""

    exit_code: int
    message: str
    accuracy: float | None = None


@dataclass(frozen=True)
class Task:
    """A verb. An object and not a closure, so that launchers can pickle it; torch comes with the stage."""

    verb: str
    show_traceback: bool = False

    def __call__(self, config: DictConfig) -> Any:
        job = _Job.current()
        with nullcontext() if job.number is None or not job.has_company else numbered(job.number):
            return self._do(config, job)

    def _do(self, config: DictConfig, job: _Job) -> Any:
        if job.number is not None:
            number = [] if job.has_company else [f"#{job.number}"]  # there, every line has it
            say(" ".join([*number, *job.overrides]))
        job.begin()
        try:
            returned = self._work(config, job)
            job.end()
        except (KeyboardInterrupt, Interrupted) as error:
            with suppress(OSError):
                job.record(judge(error))
            raise
        except Exception as error:
            if self.show_traceback:
                traceback.print_exception(error)
            return job.fail(error)
        return returned

    def _work(self, config: DictConfig, job: _Job) -> Any:
        """The stage. A job of a sweep that runs out of memory has another go without what the others left there."""
        stage = import_module(f"distill_cli.stages.{self.verb.replace('-', '_')}")
        try:
            with shared.during(job.number is not None):
                return stage.main(config, job.output)
        except Exception as error:
            if not (is_out_of_memory(error) and shared.release()):
                raise
        say("out of memory; once more, without what the jobs of this sweep share")
        return stage.main(config, job.output)


@dataclass(frozen=True)
class _Job:
    output: Path
    overrides: list[str]  # as typed, but for passwords
    number: int | None  # within a sweep
    has_company: bool  # of jobs that write to the same terminal

    @classmethod
    def current(cls) -> _Job:
        hydra = HydraConfig.get()
        typed = (as_typed(str(o)) for o in OmegaConf.to_container(hydra.overrides.task) or [])
        overrides = [without_secrets(override) for override in typed]
        number = hydra.job.num if hydra.mode == RunMode.MULTIRUN else None
        return cls(Path(hydra.runtime.output_dir), overrides, number, is_parallel(hydra.launcher))

    def begin(self) -> None:
        forget(self.output)
        self.record(Verdict(1, "did not come to its end: still running, or killed"))

    def end(self) -> None:
        (self.output / ERROR).unlink(missing_ok=True)

    def fail(self, error: Exception) -> Failure:
        verdict = judge(error, self.overrides)
        if verdict.is_internal:
            verdict = replace(verdict, message=self._with_traceback(error))
        if verdict.message:
            complain(verdict.message)
        with suppress(OSError):  # on a full disk the record from the beginning stays
            self.record(verdict)
        accuracy = error.accuracy if isinstance(error, GateFailed) else None
        return Failure(verdict.exit_code, verdict.message, accuracy)

    def record(self, verdict: Verdict) -> None:
        content = {
            "exit_code": verdict.exit_code,
            "message": verdict.message,
            "overrides": self.overrides,
            "job": self.number,
        }
        write_json(self.output / ERROR, content)

    def _with_traceback(self, error: Exception) -> str:
        path = self.output / TRACEBACK
        with suppress(OSError):  # the line still says what happened
            write_bytes(path, "".join(traceback.format_exception(error)).encode())
        return f"internal error: {describe(error)}; the traceback is in {path}"
