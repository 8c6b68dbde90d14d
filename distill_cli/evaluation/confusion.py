"""Which classes are taken for which, and where the student's confusions are not the teacher's. NumPy only.

With C classes there are C² counts, of which hardly any is not zero: only those are ever kept, but for few classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distill_cli.evaluation.answers import Answers

MOST_CLASSES = 20  # of a matrix that still fits a page
Matrix = list[list[int]]


def differences(
    teacher: Answers, student: Answers, classes: Sequence[str], most: int = 20
) -> list[dict[str, Any]]:
    """The confusions in whose counts student and teacher differ most, the largest difference first."""
    theirs, ours = _confusions(teacher, len(classes)), _confusions(student, len(classes))
    changed = [code for code in theirs.keys() | ours.keys() if theirs.get(code, 0) != ours.get(code, 0)]
    changed.sort(key=lambda code: (-abs(ours.get(code, 0) - theirs.get(code, 0)), code))
    return [
        {
            "true": classes[code // len(classes)],
            "predicted": classes[code % len(classes)],
            "teacher": theirs.get(code, 0),
            "student": ours.get(code, 0),
        }
        for code in changed[:most]
    ]


def matrices(answers: Mapping[str, Answers], classes: int) -> dict[str, Matrix] | None:
    """For each role the counts of (true, predicted); None where the classes are too many for a page."""
    if classes > MOST_CLASSES:
        return None
    return {role: _matrix(found, classes) for role, found in answers.items()}


def _confusions(answers: Answers, classes: int) -> dict[int, int]:
    """How often a class is taken for another one, by true class · classes + predicted class."""
    wrong = ~answers.right
    codes = answers.labels[wrong] * classes + answers.predicted[wrong]
    found, counts = np.unique(codes, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _matrix(answers: Answers, classes: int) -> Matrix:
    codes = answers.labels * classes + answers.predicted
    matrix: Matrix = np.bincount(codes, minlength=classes**2).reshape(classes, classes).tolist()
    return matrix
