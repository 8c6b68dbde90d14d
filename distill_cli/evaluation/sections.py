"""The parts of a report that follow from what the models answered, sample by sample. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distill_cli.evaluation.answers import Answers, only_one_is_right
from distill_cli.evaluation.confusion import differences, matrices
from distill_cli.evaluation.disagreements import disagreements
from distill_cli.evaluation.intervals import mcnemar, wilson
from distill_cli.evaluation.per_class import per_class
from distill_cli.evaluation.reliability import reliability


def trust(answers: Answers) -> dict[str, Any]:
    """How many samples stand behind a model's accuracy, and how far that can be trusted."""
    return {"samples": len(answers), "top1_interval": wilson(int(answers.right.sum()), len(answers))}


def paired(student: Answers, baseline: Answers | None) -> dict[str, Any] | None:
    """Student against baseline on the same samples."""
    if baseline is None:
        return None
    ours, theirs = only_one_is_right(student, baseline)
    return {"p": mcnemar(ours, theirs), "student_only": ours, "baseline_only": theirs}


def sections(
    answers: Mapping[str, Answers | None], classes: Sequence[str], *, ece_bins: int, pictures: int
) -> dict[str, Any]:
    """Calibration, classes, confusions and disagreements, as report.json has them."""
    teacher, student = answers["teacher"], answers["student"]
    assert teacher is not None and student is not None
    return {
        "calibration": {
            role: [] if found is None else reliability(found.confidence, found.right, ece_bins)
            for role, found in answers.items()
        },
        "per_class": per_class(answers, classes),
        "confusion": differences(teacher, student, classes),
        "confusion_counts": matrices({"teacher": teacher, "student": student}, len(classes)),
        "disagreements": disagreements(teacher, student, classes, pictures),
    }
