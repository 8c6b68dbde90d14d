"""`distill run`: every stage in turn, each skipped where it is up to date, and the baseline beside the student."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from distill_cli.stages import distill, evaluate, gates, gen_soft_labels, train_teacher
from distill_cli.stages.result import StageResult, status_of
from distill_cli.stages.session import Session

Stages = dict[str, StageResult]  # verb to what it left


def main(config: DictConfig, output: Path) -> float | None:
    session, started = Session.of(config), time.monotonic()
    plan = session.plan
    plan.transfer.need_labels("the baseline", "leave more, or type distill distill, which trains none")
    gates.reference_of(plan)  # found fit before anything is made
    if not plan.first.teacher_is_there or not plan.student.is_complete():
        from distill_cli.stages.jobs.rehearse import rehearse

        rehearse(plan)
    teacher = train_teacher.run(session)
    before = [_taught(replace(session, plan=link)) for link in plan.links[:-1]]
    stages = {"train-teacher": teacher, **_taught(session)}
    stages["baseline"] = distill.run_baseline(session) if plan.distils else stages["distill"]
    report = evaluate.run(session)
    stages["evaluate"] = report
    document = {
        **report.document(),
        "stage": "run",
        "status": status_of([*stages.values(), *(result for link in before for result in link.values())]),
        "seconds": {"total": round(time.monotonic() - started, 3)},
        "stages": _documents(stages),
        **({"before": [_documents(link) for link in before]} if before else {}),
    }
    gates.publish(session, output, report)
    session.write_result(output, document)
    objective = report if session.plan.bias else stages["distill"]
    accuracy = objective.metrics.get("validation_top1")
    gates.hold_gates(report, accuracy)
    evaluate.suggest_sweep(session)
    return accuracy


def _taught(session: Session) -> Stages:
    """A student, and what it learns from."""
    labels = {"gen-soft-labels": gen_soft_labels.run(session)} if session.plan.reads_labels else {}
    return {**labels, "distill": distill.run(session)}


def _documents(stages: Stages) -> dict[str, Any]:
    return {verb: result.document() for verb, result in stages.items()}
