"""How true an encoding is to the teacher, read from what was measured when the rows were written. Without torch.

A *measure* is what `encodings/error.py` puts into a seal: for each of a few temperatures the mean and the maximum
relative error of the soft loss, and the share of the loss that is kept, over so many rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

Measure = Mapping[str, Any]
TEMPERATURES = (1, 2, 4, 8, 20)


def is_measure(found: Any) -> bool:
    """Whether a part of a seal can be read as one."""
    lists = ("temperatures", "mean", "max", "kept")
    return (
        isinstance(found, Mapping)
        and all(isinstance(found.get(name), list) for name in lists)
        and all(len(found[name]) == len(found["temperatures"]) for name in lists)
        and all(isinstance(value, int | float) for name in lists for value in found[name])
        and isinstance(found.get("rows"), int)
        and isinstance(found.get("lower_bound"), bool)
    )


def error_at(measured: Iterable[Measure], temperature: float) -> float:
    """Mean of |L_encoded - L_dense| / L_dense over all rows; 0.01 is 1 %."""
    return _at(measured, "mean", temperature)


def kept_at(measured: Iterable[Measure], temperature: float) -> float:
    """The encoded loss as a share of the dense one; less than 1 where classes are merged."""
    return _at(measured, "kept", temperature)


def _at(measured: Iterable[Measure], field: str, temperature: float) -> float:
    """Weighted by rows; between two temperatures linear in log T, beyond the ends as at the end."""
    total, rows = 0.0, 0
    for one in measured:
        total += one["rows"] * _between(one["temperatures"], one[field], temperature)
        rows += one["rows"]
    assert rows, "nothing was measured"
    return total / rows


def _between(temperatures: list[float], values: list[float], temperature: float) -> float:
    for (low, high), (first, last) in zip(pairwise(temperatures), pairwise(values), strict=True):
        if temperature < high:
            share = max(0.0, math.log(temperature / low) / math.log(high / low))
            return first + share * (last - first)
    return values[-1]
