"""`distill gen-soft-labels`: the teacher's logits for every stored view of every train sample, and for the
clean validation and test samples.

It computes what is missing and nothing else, so resuming, more views, more samples and several processes at
once are one operation.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from distill_cli.errors import ArtifactError
from distill_cli.plan import Plan
from distill_cli.runtime.console import say
from distill_cli.soft_labels.absence import first_problem
from distill_cli.soft_labels.label_set import EMBEDDING, LabelSet
from distill_cli.stages.result import StageResult, together
from distill_cli.stages.session import Session
from distill_cli.stages.summary import summary

STAGE = "gen-soft-labels"


def main(config: DictConfig, output: Path) -> None:
    session = Session.of(config)
    result = run(session)
    session.write_result(output, result.document())
    session.suggest("distill")


def run(session: Session) -> StageResult:
    """Those that the student learns from; each teacher's, where they are several."""
    plan = session.plan
    found = [
        _one(replace(session, plan=member), _named(plan, number))
        for number, member in enumerate(plan.members, 1)
    ]
    keys = [result.place.key for result in found]
    return together(found, replace(found[0].place, label=plan.teacher.label, identity={"members": keys}))


def _named(plan: Plan, number: int) -> str:
    """The soft labels of one of the plan's teachers, as people are told of them."""
    if plan.taught_by is not None:
        return f"soft labels of {plan.taught_by.role}"
    members = plan.members
    if len(members) == 1:
        return "soft labels"
    model = members[number - 1].config.teacher.model
    return f"soft labels of teacher {number} of {len(members)} ({model.get('name', 'teacher')})"


def _one(session: Session, what: str) -> StageResult:
    labels = session.plan.labels
    result, done = (_up_to_date(session), "up-to-date") if labels.is_complete() else _label(session, what)
    say(summary(what, result, done))
    return result


def _label(session: Session, what: str) -> tuple[StageResult, str]:
    """And what was done: in a word, which for a set that was whole is not its status."""
    plan, labels, started = session.plan, session.plan.labels, time.monotonic()
    if not plan.teacher.is_complete():
        raise ArtifactError(session.teacher_is_missing())
    resumed, missing = labels.place.directory.is_dir(), labels.missing()
    done = "extended by embeddings" if labels.lack_only(EMBEDDING) else "resumed" if resumed else "built"
    if stale := first_problem(labels, missing):
        say(f"{what}: made again: {stale}")
    from distill_cli.stages.jobs.label import label

    written, environment = label(plan, missing, what)
    result = StageResult(
        stage=STAGE,
        status="resumed" if resumed else "built",
        place=labels.place,
        inputs={"train-teacher": plan.teacher.key},
        metrics=_metrics(labels, written),
        seconds={"total": time.monotonic() - started},
        environment=environment,
    )
    return result, done


def _up_to_date(session: Session) -> StageResult:
    labels = session.plan.labels
    inputs = {"train-teacher": session.plan.teacher.key}
    return StageResult(STAGE, "up-to-date", labels.place, inputs, _metrics(labels, written=0))


def _metrics(labels: LabelSet, written: int) -> dict[str, int]:
    shards = list(labels.shards())
    return {
        "samples": len(labels.data.train),
        "views": labels.views,
        "shards": len(shards),
        "shards_written": written,
        "bytes": sum(shard.path.stat().st_size for shard in shards),
    }
