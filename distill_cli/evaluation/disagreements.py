"""Samples that only one of student and teacher has right, the surest mistakes first. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill_cli.evaluation.answers import Answers, only_one_is_right

KINDS = ("student_right", "teacher_right")


def disagreements(teacher: Answers, student: Answers, classes: Sequence[str], most: int) -> dict[str, Any]:
    """Up to `most` samples of each kind, and how many there are.

    Those come first in which the one that is wrong is surest of it: a mislabelled picture, or what the student
    failed to learn.
    """
    ours, theirs = only_one_is_right(student, teacher)
    both = int((student.right & teacher.right).sum())
    counts = {
        "student_right": ours,
        "teacher_right": theirs,
        "both_right": both,
        "both_wrong": len(student) - both - ours - theirs,
    }
    right = {
        "student_right": _surest(student.right & ~teacher.right, teacher.confidence, most),
        "teacher_right": _surest(teacher.right & ~student.right, student.confidence, most),
    }
    listed = {
        kind: [_sample(i, teacher, student, classes) for i in found.tolist()] for kind, found in right.items()
    }
    return {**listed, "counts": counts}


def shown(found: Mapping[str, Any]) -> list[int]:
    """The samples that are listed: whose pictures a page shows."""
    return [one["index"] for kind in KINDS for one in found[kind]]


def _surest(chosen: NDArray[np.bool_], confidence: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    found = np.flatnonzero(chosen)
    return found[np.argsort(-confidence[found], kind="stable")[:most]]


def _sample(i: int, teacher: Answers, student: Answers, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "index": int(student.index[i]),
        "true": classes[student.labels[i]],
        "student": classes[student.predicted[i]],
        "teacher": classes[teacher.predicted[i]],
        "student_confidence": float(student.confidence[i]),
        "teacher_confidence": float(teacher.confidence[i]),
    }
