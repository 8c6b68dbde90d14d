"""How good a classifier is, and how close to its teacher. All on the host, in float64.

The distance to the teacher is the very function that `kd` trains with, so that loss and report cannot drift
apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill_cli.data.loader import Loader
from distill_cli.losses.kd import kl_divergence
from distill_cli.models.predict import predict
from distill_cli.runtime.device import Runtime


@dataclass(frozen=True)
class Predictions:
    """A model's logits for clean samples, in their order, with the true labels."""

    logits: Tensor  # (samples, classes), float64
    labels: Tensor  # (samples,)


def predict_all(model: nn.Module, loader: Loader, runtime: Runtime, batch_size: int) -> Predictions:
    """`model` in eval mode over a loader of clean pictures."""
    assert not model.training, "evaluate in eval mode"
    batches = [(predict(model, batch.inputs, runtime), batch.labels) for batch in loader.clean(batch_size)]
    logits, labels = (torch.cat(column).cpu() for column in zip(*batches, strict=True))
    return Predictions(logits.double(), labels)


def scores(predictions: Predictions, ece_bins: int) -> dict[str, float]:
    """top-1, top-5 (as fractions), negative log-likelihood (nats) and expected calibration error."""
    logits, labels = predictions.logits, predictions.labels
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = ranked == labels.unsqueeze(1)  # (samples, 5)
    return {
        "top1": hits[:, 0].double().mean().item(),
        "top5": hits.any(dim=1).double().mean().item(),
        "nll": F.cross_entropy(logits, labels).item(),
        "ece": calibration_error(logits, labels, ece_bins),
    }


def closeness(student: Predictions, teacher: Predictions) -> dict[str, float]:
    """How often both name the same class, and the KL from teacher to student at T = 1 (nats)."""
    same = student.logits.argmax(dim=1) == teacher.logits.argmax(dim=1)
    return {
        "agreement": same.double().mean().item(),
        "kl_to_teacher": kl_divergence(student.logits, teacher.logits).mean().item(),
    }


def calibration_error(logits: Tensor, labels: Tensor, bins: int) -> float:
    """Expected calibration error over equally wide bins of confidence (Guo et al. 2017, arXiv:1706.04599)."""
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    bin_of = (confidence * bins).ceil().long().clamp(1, bins) - 1  # (samples,): bins are open below
    gap = (predicted == labels).double() - confidence
    sums = torch.zeros(bins, dtype=torch.float64).index_add_(0, bin_of, gap)
    return (sums.abs().sum() / len(labels)).item()
