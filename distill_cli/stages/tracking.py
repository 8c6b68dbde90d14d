"""A stage that trackers follow: what they are told of it beforehand, and the figures of what it made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from distill_cli.artifacts.store import Place
from distill_cli.stages.ensure import Built
from distill_cli.stages.session import Session
from distill_cli.trackers.settings import settings_of
from distill_cli.trackers.tracker import Run

if TYPE_CHECKING:
    from distill_cli.training.loop import OnEpoch


def tracked(
    session: Session, stage: str, place: Place, command: str, train: Callable[[OnEpoch], Built]
) -> Built:
    """What `train` makes, while metrics.jsonl and the chosen trackers follow it epoch by epoch."""
    with session.trackers.follow(_run(session, stage, place, command)) as tracking:
        built = train(tracking.epoch)
        tracking.final(built.content["metrics"])
    return built


def track_report(session: Session, place: Place, report: Mapping[str, Any], command: str) -> None:
    """The figures of a new report: `student/top1`, `baseline/ece`, `gain`."""
    figures = {
        f"{role}/{name}": value
        for role, found in report["models"].items()
        for name, value in (found or {}).items()
    }
    with session.trackers.follow(_run(session, "report", place, command)) as tracking:
        tracking.final({**figures, **report["comparison"]})


def _run(session: Session, stage: str, place: Place, command: str) -> Run:
    settings = settings_of(session.plan.config, stage)
    return Run(place.name, stage, place.key, command, session.trackers.group, settings)
