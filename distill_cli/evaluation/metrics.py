"""How good a classifier is, and how close to its teacher. All on the host, in float64.

The distance to the teacher is the very function that `kd` trains with, so that loss and report cannot drift
apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill_cli.data.loader import Loader
from distill_cli.evaluation.answers import Answers
from distill_cli.evaluation.reliability import calibration_error, reliability
from distill_cli.losses.kd import kl_divergence
from distill_cli.losses.labels import UNLABELLED
from distill_cli.models.predict import predict
from distill_cli.runtime.device import Runtime


@dataclass(frozen=True)
class Predictions:
    """A model's logits for clean samples, in their order, with the true labels."""

    logits: Tensor  # (samples, classes), float64
    labels: Tensor  # (samples,): -1 where nobody knows

    @cached_property
    def labelled(self) -> Predictions:
        """What can be right or wrong."""
        known = self.labels != UNLABELLED
        return self if known.all() else Predictions(self.logits[known], self.labels[known])

    @cached_property
    def answers(self) -> Answers:
        """What is named for each labelled sample, and how surely."""
        found = self.labelled
        confidence, predicted = found.logits.softmax(dim=1).max(dim=1)
        index = (self.labels != UNLABELLED).nonzero().squeeze(1)
        columns = (column.numpy() for column in (index, found.labels, predicted, confidence))
        return Answers(*columns)


def predict_all(model: nn.Module, loader: Loader, runtime: Runtime, batch_size: int) -> Predictions:
    """`model` in eval mode over a loader of clean pictures."""
    assert not model.training, "evaluate in eval mode"
    batches = [(predict(model, batch.inputs, runtime), batch.labels) for batch in loader.clean(batch_size)]
    logits, labels = (torch.cat(column).cpu() for column in zip(*batches, strict=True))
    return Predictions(logits.double(), labels)


def scores(predictions: Predictions, ece_bins: int) -> dict[str, float]:
    """top-1, top-5 (as fractions), negative log-likelihood (nats) and expected calibration error."""
    known = predictions.labelled
    logits, labels = known.logits, known.labels
    answers = predictions.answers
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = ranked == labels.unsqueeze(1)  # (samples, 5)
    return {
        "top1": hits[:, 0].double().mean().item(),
        "top5": hits.any(dim=1).double().mean().item(),
        "nll": F.cross_entropy(logits, labels).item(),
        "ece": calibration_error(reliability(answers.confidence, answers.right, ece_bins)),
    }


def closeness(student: Predictions, teacher: Predictions) -> dict[str, float]:
    """How often both name the same class, and the KL from teacher to student at T = 1 (nats)."""
    same = student.logits.argmax(dim=1) == teacher.logits.argmax(dim=1)
    return {
        "agreement": same.double().mean().item(),
        "kl_to_teacher": kl_divergence(student.logits, teacher.logits).mean().item(),
    }
