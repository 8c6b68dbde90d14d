"""Few levels for many numbers: k-means in one dimension (Lloyd 1982), for all rows at once.

An error δ in one logit costs about ½ p δ² of the KL at a temperature, p the class's probability there. So a class
weighs the sum of its probabilities over the temperatures at which an encoding is measured. Sorted once, a row's
clusters are intervals, and their means come from running sums.
"""

from __future__ import annotations

import torch
from torch import Tensor

from distill_cli.soft_labels.fidelity import TEMPERATURES

ROUNDS = 5  # more change little


def fit_levels(logits: Tensor, without: Tensor, levels: int) -> Tensor:
    """Ascending levels (rows, levels) for (rows, classes), but for the classes `without` (rows, kept)."""
    weights = sum((logits / t).softmax(dim=1) for t in TEMPERATURES)
    assert isinstance(weights, Tensor)
    top = logits.scatter(1, without, torch.inf)  # last when sorted
    order = top.argsort(dim=1, stable=True)[:, : logits.shape[1] - without.shape[1]]
    values, weights = logits.gather(1, order), weights.gather(1, order)
    found = _start(values, weights, levels)
    sums, totals = _running(values * weights), _running(weights)
    for _ in range(ROUNDS):
        found = _means(values, found, sums, totals)
    return found.float()


def nearest(levels: Tensor, logits: Tensor) -> Tensor:
    """For each logit the number of the nearest of its row's ascending levels, int64 (rows, classes)."""
    return torch.searchsorted(_between(levels), logits)


def _start(values: Tensor, weights: Tensor, levels: int) -> Tensor:
    """Half way between evenly spaced levels and the quantiles by weight."""
    share = (torch.arange(levels, device=values.device) + 0.5) / levels
    even = values[:, :1] + (values[:, -1:] - values[:, :1]) * share
    below = weights.cumsum(dim=1)
    position = torch.searchsorted(below, below[:, -1:] * share).clamp(max=values.shape[1] - 1)
    return (even + values.gather(1, position)) / 2


def _means(values: Tensor, levels: Tensor, sums: Tensor, totals: Tensor) -> Tensor:
    """The mean of what lies nearest to each level; a level that nothing is near stays."""
    inner = torch.searchsorted(values, _between(levels))
    ends = torch.nn.functional.pad(inner, (1, 0))
    ends = torch.nn.functional.pad(ends, (0, 1), value=values.shape[1])  # (rows, levels + 1)
    weight = totals.gather(1, ends).diff(dim=1)
    mean = sums.gather(1, ends).diff(dim=1) / weight
    return torch.where(weight > 0, mean.to(levels.dtype), levels).sort(dim=1).values


def _between(levels: Tensor) -> Tensor:
    """Where one level's share of the line ends and the next one's begins, (rows, levels - 1)."""
    return ((levels[:, 1:] + levels[:, :-1]) / 2).contiguous()


def _running(values: Tensor) -> Tensor:
    """Sums of the first 0, 1, … numbers of each row, in float64: differences of them are wanted."""
    return torch.nn.functional.pad(values.cumsum(dim=1, dtype=torch.float64), (1, 0))
