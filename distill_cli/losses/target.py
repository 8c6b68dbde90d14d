"""The target class set apart from all others, for losses that treat the two differently.

Which class that is: the label; of a sample without one (-1) the teacher's top class, so that soft labels of
unlabelled samples still teach. Where two samples are mixed it is the label of the one with the larger share.

The trap: log(1 - p) of a sure teacher is log 0. Here it never comes up, because the target is measured against the
log-sum-exp of the others and not against 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from distill_cli.losses.labels import UNLABELLED
from distill_cli.losses.outputs import Outputs, at_least_float32
from distill_cli.losses.soften import Temperature


def target_of(labels: Tensor, teacher: Outputs) -> Tensor:
    """The target class of each sample, (batch, 1)."""
    return torch.where(labels == UNLABELLED, teacher.top_class, labels)[:, None]


def against_others(logits: Tensor, target: Tensor, temperature: Temperature) -> Tensor:
    """log pᵢ / Σ p over the classes that are not the target, at a temperature, (batch, classes).

    That is the log-probability of each other class among the others; and, in the target's place, its log-odds.
    """
    logits = at_least_float32(logits) / temperature
    return logits - others(logits, target).logsumexp(dim=-1, keepdim=True)


def others(log_values: Tensor, target: Tensor) -> Tensor:
    """The same with -inf in the target's place, (batch, classes)."""
    return log_values.scatter(-1, target, -torch.inf)
