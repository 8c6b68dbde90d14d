"""A bias on the logits of a student whose transfer set did not show the classes as often as they occur.

Without a 3 in its transfer set, a student learns from soft labels alone what a 3 is, and that there are none. The
second is wrong, and a number added to that logit puts it right (Hinton, Vinyals, Dean 2015, arXiv:1503.02531).

`fit` takes the numbers of the smallest NLL on the validation part. That is convex, so there is one answer, wherever
one starts: each class is expected as often as it occurs. The best accuracy on that part was tried as well, by exact
search in one class after the other. On four MNIST students, judged on the half of the part that nothing was fitted
on, it is no better from 3,000 samples, worse from 150, and where several classes must move at once it may not
move at all; docs/log.md has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from distill_cli.config.bias import OPTION, Bias
from distill_cli.evaluation.metrics import Predictions
from distill_cli.runtime.console import say

MOST_STEPS = 500  # 10 to 50 are usual
CLOSE = 1e-6  # of the samples that are expected of a class to those that there are
WORTH_SAYING = 0.1  # of a sample
ROUNDING = 1e-13  # of a loss: near the smallest, steps change no more than that
DECIMALS = 3  # of a fitted number, so that it can be typed


def settled(bias: Bias, validation: Predictions | None, classes: Sequence[str]) -> dict[str, float]:
    """With a number in place of each that is to be fitted. Without one of these, no validation part is needed."""
    fixed = {name: value for name, value in bias.items() if value is not None}
    wanted = [classes.index(name) for name in bias if name not in fixed]
    if not wanted:
        return fixed
    assert validation is not None, "numbers are fitted on the validation part"
    found = _fitted(corrected(validation, fixed, classes).labelled, wanted)
    fitted = dict(zip((classes[number] for number in wanted), found.tolist(), strict=True))
    return {name: fixed[name] if name in fixed else round(fitted[name], DECIMALS) for name in bias}


def corrected(predictions: Predictions, bias: Mapping[str, float], classes: Sequence[str]) -> Predictions:
    added = torch.tensor([bias.get(name, 0.0) for name in classes], dtype=predictions.logits.dtype)
    return Predictions(predictions.logits + added, predictions.labels)


def _fitted(known: Predictions, wanted: Sequence[int]) -> Tensor:
    """The numbers of the smallest NLL for some classes, (wanted,). Of all: those that add up to 0.

    All other classes are one, whose number is 0; of all, the first one's is.
    """
    logits, columns = known.logits.double(), torch.tensor(wanted)
    if len(wanted) == logits.shape[1]:
        found = _smallest(logits, known.labels)
        return found - found.mean()
    column = torch.zeros(logits.shape[1], dtype=torch.long)
    column[columns] = torch.arange(1, len(wanted) + 1)
    others = logits[:, column == 0].logsumexp(dim=1, keepdim=True)
    return _smallest(torch.cat([others, logits[:, columns]], dim=1), column[known.labels])[1:]


def _smallest(logits: Tensor, labels: Tensor) -> Tensor:
    """What is added to `logits`, (samples, classes), for the smallest NLL; to the first, 0.

    Newton's method, damped as Levenberg and Marquardt do: where a step would not lessen the loss, a shorter one,
    nearer to the gradient. Undamped it gets lost where large logits leave next to no curvature.
    """
    here = _Slope.at(torch.zeros(logits.shape[1], dtype=logits.dtype), logits, labels)
    damping, identity = 1.0, torch.eye(logits.shape[1] - 1, dtype=logits.dtype)
    for _ in range(MOST_STEPS):
        if here.left < CLOSE:
            break
        step = torch.linalg.solve(here.curvature + damping * identity, here.gradient)
        there = _Slope.at(here.bias - F.pad(step, (1, 0)), logits, labels)
        is_better = there.loss <= here.loss * (1 + ROUNDING)
        here, damping = (there, damping / 4) if is_better else (here, damping * 4)
    if here.left > WORTH_SAYING:
        say(f"{OPTION}: fit stopped after {MOST_STEPS} steps, {here.left:.2g} samples off in one class")
    return here.bias


@dataclass(frozen=True)
class _Slope:
    """The loss at one place, and which way it falls, for all numbers but the first."""

    bias: Tensor  # (classes,)
    loss: float
    gradient: Tensor  # samples that are expected of a class, less those that there are
    curvature: Tensor

    @classmethod
    def at(cls, bias: Tensor, logits: Tensor, labels: Tensor) -> _Slope:
        said = (logits + bias).log_softmax(dim=1)
        expected = said.exp()[:, 1:]
        counts = labels.bincount(minlength=logits.shape[1])[1:]
        total = expected.sum(dim=0)
        loss = F.nll_loss(said, labels, reduction="sum").item()
        return cls(bias, loss, total - counts, total.diag() - expected.T @ expected)

    @property
    def left(self) -> float:
        return self.gradient.abs().max().item()
