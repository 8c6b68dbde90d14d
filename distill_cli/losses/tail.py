"""The log-sum-exp of many logits / T as a function of T, out of a short table.

What is tabulated is the *excess* over the largest of them: log Σ exp((z - peak) / T). It lies between 0 and
log(count) and grows with T; where T has no end it is log(count). As a function of log T it is smooth at every
scale alike: the sum has no zero within an angle of about π / (2 log count) of the real axis, however the logits
lie. So one polynomial through Chebyshev nodes on [0, log 20] serves all rows, and the nodes it takes grow with
log(count). The trap: in T or in 1 / T it would take several times as many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from distill_cli.errors import ConfigError
from distill_cli.losses.rows import rows_of
from distill_cli.losses.upload import upload

HOTTEST = 20.0  # temperature of the last node; the first is 1
BEYOND = (HOTTEST, HOTTEST / 2, HOTTEST / 3)  # with T = ∞ they carry a cubic in 1 / T above the last node


@dataclass(frozen=True)
class Tail:
    """Of rows of `count` logits each."""

    peak: Tensor  # the largest, (batch,)
    excess: Tensor  # at temperatures(nodes), (batch, nodes)
    count: int

    @classmethod
    def of(cls, logits: Tensor) -> Tail:
        """Of all the logits given, (batch, count)."""
        peak = logits.amax(dim=-1)
        shifted = logits - peak[:, None]
        nodes = temperatures(node_count(logits.shape[-1]))
        excess = torch.stack([(shifted / node).logsumexp(dim=-1) for node in nodes], dim=-1)
        return cls(peak, excess, logits.shape[-1])

    def log_sum_exp(self, temperature: float) -> Tensor:
        """log Σ exp(z / T), (batch,). Raises `ConfigError` below 1, where nothing is known."""
        if temperature < 1:
            raise ConfigError(
                f"soft_labels=top_k knows the rest of the classes from temperature=1 up, not at "
                f"{temperature:g}; use soft_labels=float16 (or int8)"
            )
        excess, nodes = self.excess, self.excess.shape[-1]
        at_nodes, at_infinity = _weights_there(temperature, nodes, excess.dtype, excess.device)
        excess = excess @ at_nodes
        return self.peak / temperature + excess + at_infinity * math.log(self.count)

    def slice(self, start: int, stop: int) -> Tail:
        """Rows [start, stop)."""
        return Tail(rows_of(self.peak, start, stop), rows_of(self.excess, start, stop), self.count)

    def take(self, rows: Tensor) -> Tail:
        """The rows of these numbers."""
        return Tail(self.peak[rows], self.excess[rows], self.count)

    def double(self) -> Tail:
        """In float64."""
        return Tail(self.peak.double(), self.excess.double(), self.count)


def node_count(count: int) -> int:
    """Enough for 0.5 % of the sum at 1 ≤ T ≤ 20, whatever the logits (docs/encodings.md)."""
    return max(14, math.ceil(2.6 * math.log(count)))


def temperatures(nodes: int) -> list[float]:
    """Chebyshev points of the second kind in log T, from 1 to 20."""
    return [HOTTEST**x for x in _points(nodes)]


def _points(nodes: int) -> list[float]:
    return [(1 - math.cos(math.pi * j / (nodes - 1))) / 2 for j in range(nodes)]


@lru_cache(maxsize=16)
def _weights_there(
    temperature: float, nodes: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, float]:
    """The same on the device: a temperature that stays is copied there once, not in every step."""
    at_nodes, at_infinity = _weights(temperature, nodes)
    return upload(torch.tensor(at_nodes, dtype=dtype), device), at_infinity


def _weights(temperature: float, nodes: int) -> tuple[list[float], float]:
    """What each node's value counts at a temperature, and what the value at T = ∞ does."""
    if temperature <= HOTTEST:
        return _barycentric(math.log(temperature) / math.log(HOTTEST), nodes), 0.0
    at_infinity, *shares = _lagrange(1 / temperature, [0.0, *(1 / known for known in BEYOND)])
    known = [_barycentric(math.log(t) / math.log(HOTTEST), nodes) for t in BEYOND]
    return [
        sum(share * weight for share, weight in zip(shares, column, strict=True))
        for column in zip(*known, strict=True)
    ], at_infinity


def _barycentric(x: float, nodes: int) -> list[float]:
    """The polynomial through Chebyshev points (Berrut and Trefethen 2004, section 5), as weights at x."""
    points = _points(nodes)
    if x in points:
        return [float(point == x) for point in points]
    ends = (0, nodes - 1)
    terms = [(-1) ** j * (0.5 if j in ends else 1) / (x - point) for j, point in enumerate(points)]
    return [term / sum(terms) for term in terms]


def _lagrange(x: float, points: list[float]) -> list[float]:
    """The polynomial through a few points, as weights at x."""
    return [
        math.prod((x - other) / (point - other) for other in points if other != point) for point in points
    ]
