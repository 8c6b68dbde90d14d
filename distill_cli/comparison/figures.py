"""A figure over seeds: mean, standard deviation of the sample, and of how many."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    mean: float
    std: float | None  # n - 1 in its denominator; None for a single value
    n: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Figure | None:
        """Of the values that are known; None where there is none."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        return cls(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))

    @property
    def spread(self) -> float:
        return self.std or 0.0

    @property
    def bar(self) -> float:
        """Half an error bar, in percent. Not a number, which is not drawn, where one value has no spread."""
        return math.nan if self.std is None else 100 * self.std
