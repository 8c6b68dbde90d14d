"""The accuracy of each class under each model, and where distillation cost or brought most. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distill_cli.evaluation.answers import Answers

ClassFigures = dict[str, Any]


def per_class(answers: Mapping[str, Answers | None], classes: Sequence[str]) -> list[ClassFigures]:
    """For each class its name, its samples, and for each role the share it has right; None where unknown."""
    some = next(found for found in answers.values() if found is not None)
    samples = np.bincount(some.labels, minlength=len(classes)).tolist()
    shares = {role: _shares(found, samples) for role, found in answers.items()}
    return [
        {"class": name, "samples": samples[i], **{role: found[i] for role, found in shares.items()}}
        for i, name in enumerate(classes)
    ]


def most_changed(found: Sequence[ClassFigures], most: int) -> list[ClassFigures]:
    """Up to `most` classes in which student and teacher differ most, from the most lost to the most gained."""
    known = [one for one in found if one["samples"]]
    largest = sorted(known, key=lambda one: (-abs(change(one)), change(one)))[:most]
    return sorted(largest, key=change)


def change(one: ClassFigures) -> float:
    """The student's accuracy in a class minus the teacher's."""
    return float(one["student"] - one["teacher"])


def _shares(found: Answers | None, samples: Sequence[int]) -> list[float | None]:
    if found is None:
        return [None] * len(samples)
    hits = np.bincount(found.labels, found.right, minlength=len(samples)).tolist()
    return [hit / count if count else None for hit, count in zip(hits, samples, strict=True)]
