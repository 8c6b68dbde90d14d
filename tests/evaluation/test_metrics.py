"""Metrics against independent references."""

import numpy as np
import pytest
import torch

from distill_cli.evaluation.metrics import Predictions, closeness, scores
from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.outputs import Outputs


def predictions(seed: int = 0, rows: int = 500, classes: int = 8, scale: float = 2.0) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (rows,), generator=generator)
    logits = scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    logits[torch.arange(rows), labels] += 1.5
    return Predictions(logits, labels)


def test_accuracies_and_likelihood_are_their_definitions():
    found = predictions()
    logits, labels = found.logits.numpy(), found.labels.numpy()
    true = logits[np.arange(len(labels)), labels]
    better = (logits > true[:, None]).sum(axis=1)  # how many classes are ranked above the true one
    likelihood = true - np.log(np.exp(logits).sum(axis=1))
    ours = scores(found, ece_bins=15)
    assert ours["top1"] == pytest.approx((better < 1).mean())
    assert ours["top5"] == pytest.approx((better < 5).mean())
    assert ours["nll"] == pytest.approx(-likelihood.mean(), rel=1e-9)


def by_hand(logits: np.ndarray, labels: np.ndarray, bins: int) -> float:
    """The definition, bin by bin."""
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    total = 0.0
    for number in range(bins):
        inside = (confidence > number / bins) & (confidence <= (number + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_the_calibration_error_is_its_definition(bins):
    found = predictions()
    expected = by_hand(found.logits.numpy(), found.labels.numpy(), bins)
    assert scores(found, bins)["ece"] == pytest.approx(expected, rel=1e-9)


def test_a_sure_and_right_model_is_calibrated_and_a_sure_and_wrong_one_is_not():
    labels = torch.arange(4)
    sure = 50.0 * torch.eye(4, dtype=torch.float64)
    assert scores(Predictions(sure, labels), 15)["ece"] == pytest.approx(0, abs=1e-9)
    assert scores(Predictions(sure, labels.flip(0)), 15)["ece"] == pytest.approx(1, abs=1e-9)


def test_with_fewer_than_five_classes_top_5_is_one():
    assert scores(predictions(classes=3), 15)["top5"] == 1


def test_the_distance_to_the_teacher_is_the_loss_that_trains():
    student, teacher = predictions(0), predictions(1)
    trained_with = KnowledgeDistillation()(
        Outputs(student.logits), Outputs(teacher.logits), student.labels, temperature=1.0
    )
    assert closeness(student, teacher)["kl_to_teacher"] == pytest.approx(trained_with.item(), rel=1e-12)


def test_a_model_agrees_with_itself():
    assert closeness(predictions(), predictions()) == {
        "agreement": 1.0,
        "kl_to_teacher": pytest.approx(0, abs=1e-12),
    }
