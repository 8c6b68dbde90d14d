"""A stage that trackers follow. They are waited for once what it made is in its place, and its lock is free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from distill_cli.artifacts.store import Place
from distill_cli.stages.ensure import Built, ensure
from distill_cli.stages.result import StageResult
from distill_cli.stages.session import Session
from distill_cli.trackers.settings import settings_of
from distill_cli.trackers.tracker import Run

if TYPE_CHECKING:
    from distill_cli.training.loop import OnEpoch

VERBS = {"teacher": "train-teacher", "student": "distill", "baseline": "distill"}


def ensure_tracked(
    session: Session,
    role: str,
    place: Place,
    inputs: Mapping[str, str],
    build: Callable[[OnEpoch], Built],
    command: str,
) -> StageResult:
    """`ensure` for a model, while metrics.jsonl and the chosen trackers follow its training."""
    with session.trackers.follow(_run(session, role, place, command)) as tracking:
        result = ensure(VERBS[role], place, inputs, lambda: build(tracking.begin()), command)
        if result.status != "up-to-date":
            tracking.final(result.metrics)
    return result


def track_report(session: Session, place: Place, report: Mapping[str, Any], command: str) -> None:
    """The figures of a new report: `student/top1`, `baseline/ece`, `gain`; and `bias/3`, as it was fitted."""
    figures = {
        f"{role}/{name}": value
        for role, found in report["models"].items()
        for name, value in (found or {}).items()
    }
    bias = {f"bias/{name}": value for name, value in report.get("bias", {}).items()}
    with session.trackers.follow(_run(session, "report", place, command)) as tracking:
        tracking.begin()
        tracking.final({**figures, **bias, **report["comparison"]})


def _run(session: Session, stage: str, place: Place, command: str) -> Run:
    settings = settings_of(session.plan.config, stage)
    return Run(place.name, stage, place.key, command, session.trackers.group, settings)
