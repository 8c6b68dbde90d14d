"""Measuring a chain of distillations for the report: who stands between teacher and student, and all generations
together, which Furlanello et al. 2018 (arXiv:1805.04770) average: born-again ensembles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distill_cli.artifacts.store import Place, read_manifest
from distill_cli.evaluation.metrics import Predictions, closeness, predict_all, scores
from distill_cli.evaluation.sections import trust
from distill_cli.losses.averaging import Average
from distill_cli.plan import Plan
from distill_cli.stages.jobs.workplace import clean_loader, student_spec, trained_model

Row = dict[str, Any]


def chain(plan: Plan, teacher: Predictions, student: Predictions) -> list[Row]:
    """The rows of the report, given what first and last say to the test samples: as they were trained, like those
    between them, for which there is no bias."""
    ece_bins, places = plan.config.evaluate.ece_bins, [link.student for link in plan.links]
    said = [*(_said(link) for link in plan.links[:-1]), student]
    rows = [_row("teacher", [member.teacher for member in plan.first.members], teacher, ece_bins)]
    rows += [
        {**_row(link.role, [place], one, ece_bins), **closeness(one, teacher)}
        for link, place, one in zip(plan.links, places, said, strict=True)
    ]
    if (generations := plan.config.generations) > 1:
        together = _together(said[-generations:])
        row = _row(f"all {generations} generations", places[-generations:], together, ece_bins)
        rows.append({**row, **closeness(together, teacher)})
    return rows


def _said(link: Plan) -> Predictions:
    """By its student, to the test samples."""
    batch_size = link.config.evaluate.batch_size
    model, runtime = trained_model(link, student_spec(link), link.student, batch_size)
    with runtime.at_work():
        return predict_all(model, clean_loader(link, link.data.test, runtime), runtime, batch_size)


def _together(said: Sequence[Predictions]) -> Predictions:
    average = Average("probabilities", (1 / len(said),) * len(said))
    return Predictions(average.logits([one.logits for one in said]), said[0].labels)


def _row(role: str, places: Sequence[Place], said: Predictions, ece_bins: int) -> Row:
    return {
        "role": role,
        "artifacts": [place.name for place in places],
        **scores(said, ece_bins),
        **trust(said.answers),
        "parameters": sum(read_manifest(place.directory)["metrics"]["parameters"] for place in places),
    }
