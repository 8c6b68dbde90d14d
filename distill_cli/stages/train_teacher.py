"""`distill train-teacher`: a teacher artefact, trained here or brought in with `teacher.checkpoint`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from distill_cli.runtime.console import say
from distill_cli.stages.ensure import Built, ensure
from distill_cli.stages.result import StageResult
from distill_cli.stages.session import Session
from distill_cli.stages.summary import summary
from distill_cli.stages.tracking import tracked


def main(config: DictConfig, output: Path) -> float | None:
    session = Session.of(config)
    result = run(session)
    session.write_result(output, result.document())
    session.suggest("gen-soft-labels")
    return result.metrics.get("validation_top1")


def run(session: Session) -> StageResult:
    plan, command = session.plan, session.command("train-teacher")

    def build() -> Built:
        from distill_cli.stages.jobs.train import import_teacher, train_teacher

        make = train_teacher if plan.config.teacher.checkpoint is None else import_teacher
        return tracked(session, "teacher", plan.teacher, command, partial(make, plan))

    result = ensure("train-teacher", plan.teacher, {}, build, command)
    say(summary("teacher", result))
    return result
