"""Where the gates meet a stage: judged once the report is there, told to whoever runs CI, held at the very end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig

from distill_cli.artifacts.files import make_directory, write_bytes
from distill_cli.artifacts.records import JUNIT
from distill_cli.errors import GateFailed
from distill_cli.evaluation import github
from distill_cli.evaluation.gates import NO_BASELINE, Verdict, hold, judge, lines
from distill_cli.evaluation.junit import junit
from distill_cli.evaluation.reference import MeasuredOn, Reference
from distill_cli.plan import Plan
from distill_cli.runtime.addresses import without_secrets
from distill_cli.runtime.console import say
from distill_cli.stages.result import StageResult
from distill_cli.stages.session import Session

PAGE = "report.md"
NOT_OF_A_JOB = ("gates", "paths", "hydra", "logger")  # sections that tell no job of a sweep from another


def reference_of(plan: Plan) -> Reference | None:
    """`gates.reference`, found fit to be held against; called before anything is made.

    Raises `ConfigError` and `ArtifactError`.
    """
    path = plan.config.gates.reference
    if path is None:
        return None
    reference = Reference.read(path)
    reference.require(_measured_on(plan))
    return reference


def judged(session: Session, report: Mapping[str, Any], reference: Reference | None) -> list[Verdict]:
    """The verdicts, each also said in a line."""
    plan = session.plan
    no_baseline = NO_BASELINE if plan.distils else "with alpha=0 the student is the baseline"
    verdicts = judge(plan.config.gates, report, reference, no_baseline)
    for line in lines(verdicts):
        say(line)
    return verdicts


def publish(session: Session, output: Path, result: StageResult) -> None:
    """junit.xml beside result.json, and what GitHub Actions shows."""
    verdicts = _verdicts(result)
    student = result.more["models"]["student"]
    if verdicts:
        properties = {"student": student["artifact"], "key": result.place.key}
        seconds = result.seconds.get("total", 0.0)
        make_directory(output)
        write_bytes(output / JUNIT, junit(verdicts, result.place.label, properties, seconds))
    if github.is_on():
        github.annotate(_worth_annotating(session, verdicts), result.place.label)
        problem = github.append_summary(_summary(session, result, verdicts))
        if problem:
            say(problem)


def hold_gates(result: StageResult, accuracy: float | None) -> None:
    """Raises `GateFailed` where a gate was missed; called once result.json is written.

    `accuracy` is what the stage returns if it gets so far.
    """
    try:
        hold(_verdicts(result))
    except GateFailed as missed:
        missed.accuracy = accuracy
        raise


def _measured_on(plan: Plan) -> MeasuredOn:
    data, digests = plan.data, plan.student.identity["data"]
    samples = np.bincount(data.test.labels, minlength=len(data.classes))
    return MeasuredOn(plan.test_part, digests["test"], digests["classes"], tuple(samples.tolist()))


def _verdicts(result: StageResult) -> list[Verdict]:
    return [Verdict(**gate) for gate in result.more["gates"]]


def _worth_annotating(session: Session, verdicts: list[Verdict]) -> list[Verdict]:
    """GitHub shows ten of a step: in a sweep those that were missed."""
    return [verdict for verdict in verdicts if not (session.in_sweep and verdict.passed)]


def _summary(session: Session, result: StageResult, verdicts: list[Verdict]) -> str:
    """The whole report, its gates first; a line for a job of a sweep."""
    if session.in_sweep:
        told = [without_secrets(word) for word in session.without(*NOT_OF_A_JOB).words if "=" in word]
        job = " ".join([f"#{HydraConfig.get().job.num}", *told])
        return github.sweep_entry(verdicts, job, result.more["models"]["student"]["top1"])
    title, _, rest = (result.place.directory / PAGE).read_text(encoding="utf-8").partition("\n")
    return f"\n{title}\n\n{github.gates_table(verdicts)}{rest}"
