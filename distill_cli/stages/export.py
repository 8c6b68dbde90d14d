"""`distill export`: the student for use elsewhere, compared with the original before anybody sees it."""

from __future__ import annotations

import time
from pathlib import Path

from omegaconf import DictConfig

from distill_cli.errors import ArtifactError
from distill_cli.export.destination import Destination
from distill_cli.export.extras import require_extra
from distill_cli.runtime.console import say
from distill_cli.stages.result import StageResult
from distill_cli.stages.session import Session
from distill_cli.stages.summary import human_bytes


def main(config: DictConfig, output: Path) -> None:
    session = Session.of(config)
    result = run(session)
    session.write_result(output, result.document())


def run(session: Session) -> StageResult:
    """Write the export anew, whatever lies there of the same student in the same format."""
    plan, settings, started = session.plan, session.plan.config.export, time.monotonic()
    require_extra(settings.format)
    destination = Destination.of(settings.output, plan.student, settings.format)
    _check_student(session)
    if settings.format == "hub" and not plan.evaluation().is_complete():
        say(
            f"no report of this student: its card has no baseline and no teacher; make it with: {_all_of(session)}"
        )
    with plan.student.locked(on_wait=lambda: say(f"waiting for another process at {plan.student.name}")):
        from distill_cli.stages.jobs.export import export

        metrics = export(plan, destination)
    seconds = time.monotonic() - started
    say(
        f"export: {settings.format}, {human_bytes(metrics['bytes'])} · {seconds:.1f} s · {destination.directory}"
    )
    return StageResult(
        "export",
        "built",
        plan.student,
        {"distill": plan.student.key},
        metrics,
        {"total": seconds},
        more={"artifact": str(destination.directory.absolute()), "format": settings.format},
    )


def _check_student(session: Session) -> None:
    student = session.plan.student
    if not student.is_complete():
        raise ArtifactError(
            f"the student {student.name} is not there; make it with: {_before(session).command('distill')}, "
            f"or everything with: {_all_of(session)}"
        )


def _all_of(session: Session) -> str:
    return _before(session).command("run")


def _before(session: Session) -> Session:
    """Called for what an export is made from."""
    return session.without("export", "format")
