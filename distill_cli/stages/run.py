"""`distill run`: every stage in turn, each skipped where it is up to date, and the baseline beside the student."""

from __future__ import annotations

import time
from pathlib import Path

from omegaconf import DictConfig

from distill_cli.stages import distill, evaluate, gates, gen_soft_labels, train_teacher
from distill_cli.stages.result import StageResult
from distill_cli.stages.session import Session


def main(config: DictConfig, output: Path) -> float | None:
    session, started = Session.of(config), time.monotonic()
    gates.reference_of(session.plan)  # found fit before anything is made
    if not session.plan.teacher.is_complete() or not session.plan.student.is_complete():
        from distill_cli.stages.jobs.rehearse import rehearse

        rehearse(session.plan)
    stages = {"train-teacher": train_teacher.run(session)}
    if session.plan.distils and not session.plan.teacher_is_online:
        stages["gen-soft-labels"] = gen_soft_labels.run(session)
    stages["distill"] = distill.run(session)
    stages["baseline"] = distill.run_baseline(session) if session.plan.distils else stages["distill"]
    report = evaluate.run(session)
    stages["evaluate"] = report
    document = {
        **report.document(),
        "stage": "run",
        "status": _status(stages),
        "seconds": {"total": round(time.monotonic() - started, 3)},
        "stages": {verb: result.document() for verb, result in stages.items()},
    }
    gates.publish(session, output, report)
    session.write_result(output, document)
    accuracy = stages["distill"].metrics.get("validation_top1")
    gates.hold_gates(report, accuracy)
    evaluate.suggest_sweep(session)
    return accuracy


def _status(stages: dict[str, StageResult]) -> str:
    """Up to date if all are; resumed if anything was; else built."""
    found = {result.status for result in stages.values()}
    return "resumed" if "resumed" in found else "built" if "built" in found else "up-to-date"
