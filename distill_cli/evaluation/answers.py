"""What a classifier answers to each test sample: its class, and how sure it is. NumPy only.

Everything in a report but likelihoods follows from these, so that it is computed and tested without a model.
Samples without a label (-1) have no answer here: nobody knows whether it would be right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Answers:
    """Of one model to the labelled samples of a split, in order."""

    index: NDArray[np.int64]  # (samples,): where in the split
    labels: NDArray[np.int64]  # (samples,)
    predicted: NDArray[np.int64]  # (samples,)
    confidence: NDArray[np.float64]  # (samples,): the probability of what is predicted

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.predicted == self.labels)


def only_one_is_right(one: Answers, other: Answers) -> tuple[int, int]:
    """How many samples `one` alone has right, and how many `other` alone: what McNemar's test looks at."""
    return int((one.right & ~other.right).sum()), int((other.right & ~one.right).sum())
