"""Whether a model is as sure as it is right: the reliability diagram and its expected error. NumPy only.

Bins are equally wide in confidence, open below and closed above (Guo et al. 2017, arXiv:1706.04599).
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray


class Bin(TypedDict):
    """Samples whose confidence lies between the same two bounds."""

    confidence: float  # mean
    accuracy: float
    count: int


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int) -> list[Bin]:
    """The bins that have samples, from unsure to sure."""
    bin_of = np.clip(np.ceil(confidence * bins), 1, bins).astype(np.int64) - 1  # (samples,)
    counts = np.bincount(bin_of, minlength=bins)
    sure = np.bincount(bin_of, confidence, minlength=bins)
    hits = np.bincount(bin_of, right, minlength=bins)
    return [
        Bin(confidence=float(sure[i] / counts[i]), accuracy=float(hits[i] / counts[i]), count=int(counts[i]))
        for i in np.flatnonzero(counts)
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, in the mean over all samples."""
    samples = sum(one["count"] for one in bins)
    apart = sum(one["count"] * abs(one["accuracy"] - one["confidence"]) for one in bins)
    return apart / samples if samples else float("nan")
