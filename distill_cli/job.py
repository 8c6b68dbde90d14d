"""One job: what Hydra calls, in this process or in another one.

A failed job returns a `Failure` and does not raise, so that the other jobs of a sweep go on. What it leaves
for the launching process, wherever it ran, is `error.json` in its output directory.
"""

from __future__ import annotations

import json
import traceback
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from distill_cli.overrides import as_typed
from distill_cli.runtime.console import complain, say
from distill_cli.verdict import Verdict, describe, judge

ERROR, RESULT, TRACEBACK = "error.json", "result.json", "traceback.txt"


@dataclass(frozen=True)
class Failure:
    """What a failed job returns."""

    exit_code: int
    message: str


@dataclass(frozen=True)
class Task:
    """A verb. An object and not a closure, so that launchers can pickle it; torch comes with the stage."""

    verb: str
    show_traceback: bool = False

    def __call__(self, config: DictConfig) -> Any:
        job = _Job.current()
        if job.number is not None:
            say(f"#{job.number} {' '.join(job.overrides)}".rstrip())
        for name in (ERROR, RESULT, TRACEBACK):  # of an earlier run in the same directory
            (job.output / name).unlink(missing_ok=True)
        try:
            stage = import_module(f"distill_cli.stages.{self.verb.replace('-', '_')}")
            return stage.main(config, job.output)
        except Exception as error:
            if self.show_traceback:
                traceback.print_exception(error)
            return job.fail(error)


@dataclass(frozen=True)
class _Job:
    output: Path
    overrides: list[str]  # as typed
    number: int | None  # within a sweep

    @classmethod
    def current(cls) -> _Job:
        hydra = HydraConfig.get()
        overrides = [as_typed(str(o)) for o in OmegaConf.to_container(hydra.overrides.task) or []]
        number = hydra.job.num if hydra.mode == RunMode.MULTIRUN else None
        return cls(Path(hydra.runtime.output_dir), overrides, number)

    def fail(self, error: Exception) -> Failure:
        verdict = judge(error, self.overrides)
        message = self._with_traceback(error) if verdict.is_internal else verdict.message
        if message:
            complain(message)
        self._record(verdict, message)
        return Failure(verdict.exit_code, message)

    def _with_traceback(self, error: Exception) -> str:
        path = self.output / TRACEBACK
        with suppress(OSError):  # the line still says what happened
            path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        return f"internal error: {describe(error)}; the traceback is in {path}"

    def _record(self, verdict: Verdict, message: str) -> None:
        record = {
            "exit_code": verdict.exit_code,
            "message": message,
            "overrides": self.overrides,
            "job": self.number,
        }
        with suppress(OSError):  # a full disk is already reported
            (self.output / ERROR).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
