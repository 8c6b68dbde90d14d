"""Contrastive representation distillation: tell a sample's own pair of embeddings from pairs of different classes.

For each sample, and for both directions (student against the remembered teacher, teacher against the remembered
student): -log h(own) - Σ log(1 - h(other)) over `negatives` others, with h = p / (p + negatives / samples) and
p = exp(x · y / τ) / Z. x and y are linear embeddings of norm 1 that train along; what is remembered of all train
samples moves half-way to its sample's latest embedding. Z is estimated in the first batch, so that p sums to 1.
Tian, Krishnan, Isola 2020, arXiv:1910.10699; the sum and not the mean over negatives, as in the authors' code.

The decision to know: the authors draw other negatives for each sample and gather batch · negatives rows out of both
memories, 2 GB each at batch 256. Here a batch shares its draw, so that a product of matrices does it. Of what is
drawn, a sample's own class does not count, and its sum is scaled up to `negatives`: the same loss on average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from distill_cli.errors import ConfigError
from distill_cli.losses.labels import UNLABELLED
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature
from distill_cli.losses.upload import upload

MANY = 8  # times as many samples as are drawn of them


class ContrastiveDistillation(nn.Module):
    """`width` is that of the linear embeddings, `temperature` τ, `momentum` how much of the memory stays.

    There are at most as many negatives as there are samples of other classes.
    """

    of_student: Tensor  # what is remembered, (samples, width)
    of_teacher: Tensor
    scale: Tensor  # Z of each direction, (2,); 0 before the first batch
    shown: Tensor | None  # numbers of the samples that there are to draw from; None: all
    groups: Tensor  # the classes; a group of its own for each sample without a label, (samples,)

    def __init__(
        self,
        width: int = 128,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        self.width, self.negatives = width, negatives
        self.temperature, self.momentum = temperature, momentum

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` where all samples are of one class, or views show mixtures of them."""
        setting.require_samples("crd")
        self.views = setting.views
        self.register_buffer("groups", _groups(setting.labels), persistent=False)
        self.register_buffer("shown", setting.shown, persistent=False)
        groups = self.groups if setting.shown is None else self.groups[setting.shown]
        self.samples = len(groups)
        others = self.samples - int(groups.bincount().max())
        if others == 0:
            raise ConfigError("crd needs train samples of two classes at least; use loss=kd")
        self.negatives = min(self.negatives, others)
        self.drawn = min(self.samples, math.ceil(self.negatives * self.samples / others))
        self.embed_student = nn.Linear(student.embedded.shape[1], self.width)
        self.embed_teacher = nn.Linear(teacher.embedded.shape[1], self.width)
        bound = math.sqrt(3 / self.width)  # norm 1 on average
        for name in ("of_student", "of_teacher"):
            memory = torch.empty(setting.samples, self.width).uniform_(-bound, bound)
            self.register_buffer(name, memory)
        self.register_buffer("scale", torch.zeros(2))

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        assert student.index is not None, "which samples are these?"
        draw = self._draw(upload(student.index, self.groups.device))
        own = F.normalize(self.embed_student(student.embedded))  # (batch, width)
        theirs = F.normalize(self.embed_teacher(teacher.embedded))
        loss = self._contrast(0, own, self.of_teacher, draw)
        loss = loss + self._contrast(1, theirs, self.of_student, draw)
        if self.training:
            self._remember(self.of_student, own, draw.rows)
            self._remember(self.of_teacher, theirs, draw.rows)
        return loss

    def _draw(self, rows: Tensor) -> _Draw:
        others = self._others(rows.device)
        same = self.groups[rows][:, None] == self.groups[others]
        counted = (self.drawn - same.to(self.of_student.dtype).sum(dim=1)).clamp(min=1)
        return _Draw(rows, others, same, self.negatives / counted)

    def _others(self, device: torch.device) -> Tensor:
        """Numbers of samples, (drawn,). A few of many may be there twice; a permutation of all would cost more."""
        if self.drawn * MANY <= self.samples:
            drawn = torch.randint(self.samples, (self.drawn,), device=device)
        else:
            drawn = torch.randperm(self.samples, device=device)[: self.drawn]
        return drawn if self.shown is None else self.shown[drawn]

    def _contrast(self, direction: int, anchors: Tensor, memory: Tensor, draw: _Draw) -> Tensor:
        """The mean over the batch of one direction."""
        anchors = anchors / self.temperature
        near, others = (anchors * memory[draw.rows]).sum(dim=1).exp(), memory[draw.others]
        with torch.no_grad():
            far = (anchors @ others.T).exp_().masked_fill_(draw.same, 0)  # (batch, drawn)
            noise = self.negatives / self.samples * self._scale(direction, near, far, draw.scaled_up)
        told_apart: Tensor = _SumOfLogs.apply(anchors, far, others, noise)
        return ((noise / near).log1p() + draw.scaled_up * told_apart).mean()

    def _scale(self, direction: int, near: Tensor, far: Tensor, scaled_up: Tensor) -> Tensor:
        """Z; where there is none yet, the mean over all pairs times the number of samples."""
        mean = (near + scaled_up * far.sum(dim=1)).mean() / (self.negatives + 1)
        known = self.scale[direction]
        known = torch.where(known > 0, known, self.samples * mean)
        if self.training:
            self.scale[direction] = known
        return known

    @torch.no_grad()
    def _remember(self, memory: Tensor, embedded: Tensor, rows: Tensor) -> None:
        """Of several views of a sample, the first."""
        embedded, rows = embedded[:: self.views], rows[:: self.views]
        moved = torch.lerp(embedded, memory[rows], self.momentum)
        memory.index_copy_(0, rows, F.normalize(moved))


@dataclass(frozen=True)
class _Draw:
    """What one batch is compared with."""

    rows: Tensor  # which samples the batch is, (batch,)
    others: Tensor  # which samples it is told apart from, (drawn,)
    same: Tensor  # where both are of one class, and nothing is to be told, (batch, drawn)
    scaled_up: Tensor  # how many negatives each of the remaining ones stands for, (batch,)


class _SumOfLogs(Function):
    """Σ log(1 + far / noise) of each anchor, where far is exp(anchor · other); `far` is used up.

    The gradient is taken in the same pass, so that nothing of size (batch, drawn) is kept. log1p would take five
    times as long as log, for what lies below the rounding of a sum near 1.
    """

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, far: Tensor, others: Tensor, noise: Tensor) -> Tensor:
        share = far.div_(noise)
        whole = share + 1
        ctx.save_for_backward(share.div_(whole) @ others)
        return whole.log_().sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return outer[:, None] * gradient, None, None, None


def _groups(labels: Tensor) -> Tensor:
    """Samples of one number are no negatives of each other."""
    unlike_any = int(labels.max()) + 1 + torch.arange(len(labels))
    return torch.where(labels == UNLABELLED, unlike_any, labels)
