"""`distill train-teacher`: a teacher artefact, trained here or brought in with `teacher.checkpoint`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from distill_cli.runtime.console import say
from distill_cli.stages.ensure import Built
from distill_cli.stages.result import StageResult, together
from distill_cli.stages.session import Session
from distill_cli.stages.summary import summary
from distill_cli.stages.tracking import ensure_tracked

if TYPE_CHECKING:
    from distill_cli.training.loop import OnEpoch


def main(config: DictConfig, output: Path) -> float | None:
    session = Session.of(config)
    result = run(session)
    session.write_result(output, result.document())
    session.suggest("run" if session.plan.taught_by else "gen-soft-labels")
    return result.metrics.get("validation_top1")


def run(session: Session) -> StageResult:
    """The teacher that no student was before; each of them, where they are several."""
    first = session.plan.first
    if len(first.members) > 1 and not first.teacher_is_there:  # the last may be wrong
        from distill_cli.stages.jobs.rehearse import rehearse_teachers

        rehearse_teachers(first)
    found = [_one(replace(session, plan=member)) for member in first.members]
    return together(found, first.teacher)


def _one(session: Session) -> StageResult:
    plan, command = session.plan, session.recipe("train-teacher")

    def build(on_epoch: OnEpoch) -> Built:
        from distill_cli.stages.jobs.train import import_teacher, train_teacher

        if plan.config.teacher.checkpoint is not None:
            return import_teacher(plan)
        return train_teacher(plan, on_epoch)

    result = ensure_tracked(session, "teacher", plan.teacher, {}, build, command)
    say(summary("teacher", result))
    return result
