"""Log-probabilities at a temperature, where teacher and student can be compared: log softmax(logits / T).

Over all classes; or, of a teacher who keeps the k largest logits, over these and one class for the rest. Merging
classes never adds to a KL: the soft loss becomes a lower bound of the dense one. The rest still counts: the
student learns how much its other classes weigh together, not how they share it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from distill_cli.errors import ConfigError
from distill_cli.losses.outputs import Outputs, at_least_float32
from distill_cli.losses.top import TopLogits

Temperature = float | Tensor  # above 0; a tensor is (), or (batch, 1) where each sample has its own


def soften(student: Outputs, teacher: Outputs, temperature: Temperature) -> tuple[Tensor, Tensor]:
    """Of student and teacher, each (batch, classes) in the order of classes, or (batch, k + 1), the rest last."""
    if teacher.top is None:
        return log_probabilities(student.logits, temperature), log_probabilities(teacher.logits, temperature)
    if isinstance(temperature, Tensor):
        raise ConfigError("soft_labels=top_k cannot learn a temperature; use soft_labels=float16 (or int8)")
    return _student(student.logits, teacher.top, temperature), _teacher(teacher.top, temperature)


def log_probabilities(logits: Tensor, temperature: Temperature) -> Tensor:
    """log softmax(logits / T), in float32 at least."""
    return F.log_softmax(at_least_float32(logits) / temperature, dim=-1)


def _teacher(top: TopLogits, temperature: float) -> Tensor:
    logits = top.logits / temperature
    if top.tail is not None:
        logits = torch.cat([logits, top.rest_at(temperature)[:, None]], dim=-1)  # (batch, k + 1)
    return F.log_softmax(logits, dim=-1)


def _student(logits: Tensor, top: TopLogits, temperature: float) -> Tensor:
    every = log_probabilities(logits, temperature)
    largest = every.gather(-1, top.index)
    if top.tail is None:
        return largest
    rest = every.scatter(-1, top.index, -torch.inf).logsumexp(dim=-1, keepdim=True)
    return torch.cat([largest, rest], dim=-1)  # (batch, k + 1)


def scaled_mean(rows: Tensor, temperature: Temperature) -> Tensor:
    """T² · the mean of a loss per row, (batch,): what keeps gradients comparable at every temperature."""
    if isinstance(temperature, Tensor):
        return (temperature.squeeze(-1) ** 2 * rows).mean()
    return temperature**2 * rows.mean()
