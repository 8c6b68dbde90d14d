"""Soft and hard losses against published values, formulas in float64, and each other."""

import pytest
import torch
from reference import TEMPERATURES, golden_input, logits, named, published, value_and_gradient
from torch.nn import functional as F

from distill_cli.losses.cross_entropy import TeacherCrossEntropy, hard_cross_entropy
from distill_cli.losses.kd import KnowledgeDistillation, kl_divergence
from distill_cli.losses.logit_mse import LogitMse
from distill_cli.losses.soft_cross_entropy import SoftCrossEntropy


@pytest.mark.parametrize("entry", published("kd_kl"), ids=named)
def test_kd_gives_the_value_and_gradient_of_the_published_code(entry):
    student, teacher = golden_input("student_logits"), golden_input("teacher_logits")
    temperature = entry["params"]["temperature"]
    value, gradient = value_and_gradient(KnowledgeDistillation(), student, teacher, temperature)
    assert value == pytest.approx(entry["value"], rel=1e-9)
    assert gradient.norm().item() == pytest.approx(entry["grad_norm"][0], rel=1e-9)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_kd_is_t_squared_times_the_kl_of_the_softened_probabilities(temperature):
    student, teacher = logits(0), logits(1)
    p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
    by_hand = temperature**2 * (p * (p / q).log()).sum(1).mean().item()
    value, _ = value_and_gradient(KnowledgeDistillation(), student, teacher, temperature)
    assert value == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_soft_cross_entropy_has_the_gradient_of_kd_and_adds_the_teachers_entropy(temperature):
    student, teacher = logits(0), logits(1)
    kd, kd_gradient = value_and_gradient(KnowledgeDistillation(), student, teacher, temperature)
    soft, soft_gradient = value_and_gradient(SoftCrossEntropy(), student, teacher, temperature)
    p = (teacher / temperature).softmax(1)
    entropy = -(temperature**2) * (p * p.log()).sum(1).mean().item()
    assert soft == pytest.approx(kd + entropy, rel=1e-12)
    torch.testing.assert_close(soft_gradient, kd_gradient, rtol=1e-10, atol=1e-14)


def test_kd_tends_to_the_mean_free_logit_mse_as_the_temperature_grows():
    student, teacher = logits(0), logits(1)
    kd, kd_gradient = value_and_gradient(KnowledgeDistillation(), student, teacher, 1e4)
    mse, mse_gradient = value_and_gradient(LogitMse(mean_free=True), student, teacher, 1e4)
    assert kd == pytest.approx(mse, rel=1e-3)
    torch.testing.assert_close(kd_gradient, mse_gradient, rtol=1e-2, atol=1e-5)


def test_the_plain_logit_mse_is_half_the_mean_square():
    student, teacher = logits(0), logits(1)
    value, _ = value_and_gradient(LogitMse(), student, teacher, 1.0)
    assert value == pytest.approx(F.mse_loss(student, teacher).item() / 2, rel=1e-12)


def test_teacher_cross_entropy_takes_the_teachers_top_class():
    student, teacher = logits(0), logits(1)
    value, _ = value_and_gradient(TeacherCrossEntropy(), student, teacher, 4.0)
    assert value == pytest.approx(F.cross_entropy(student, teacher.argmax(1)).item(), rel=1e-12)


def test_half_precision_is_computed_in_float32():
    student, teacher = logits(0).bfloat16(), logits(1).bfloat16()
    kl = kl_divergence(student, teacher, 4.0)
    assert kl.dtype == torch.float32
    torch.testing.assert_close(
        kl.double(), kl_divergence(student.double(), teacher.double(), 4.0), rtol=1e-5, atol=0
    )


def test_hard_cross_entropy_skips_samples_without_a_label():
    student, labels = logits(0, rows=6), torch.tensor([1, -1, 3, -1, 5, 0])
    known = labels >= 0
    expected = F.cross_entropy(student[known], labels[known])
    torch.testing.assert_close(hard_cross_entropy(student, labels), expected)


def test_hard_cross_entropy_of_a_batch_without_labels_is_zero_and_has_a_gradient():
    student = logits(0).requires_grad_()
    loss = hard_cross_entropy(student, torch.full((len(student),), -1))
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None and student.grad.abs().max() == 0


def test_hard_cross_entropy_smooths_labels_as_torch_does():
    student, labels = logits(0), torch.arange(16) % 10
    expected = F.cross_entropy(student, labels, label_smoothing=0.1)
    torch.testing.assert_close(hard_cross_entropy(student, labels, 0.1), expected)


def test_a_mixed_sample_counts_both_labels_by_their_shares():
    student, own, partner = logits(0), torch.arange(16) % 10, (torch.arange(16) + 3) % 10
    share = torch.linspace(0, 1, 16, dtype=torch.float64)
    per_row = share * F.cross_entropy(student, own, reduction="none")
    per_row += (1 - share) * F.cross_entropy(student, partner, reduction="none")
    torch.testing.assert_close(
        hard_cross_entropy(student, own, 0.0, partner, share), per_row.mean(), rtol=1e-9, atol=0
    )


def test_a_mixed_sample_with_one_unknown_label_counts_the_other():
    student = logits(0, rows=2)
    own, partner = torch.tensor([1, -1]), torch.tensor([-1, 2])
    share = torch.tensor([0.25, 0.25], dtype=torch.float64)
    per_row = F.cross_entropy(student, torch.tensor([1, 2]), reduction="none")
    expected = (0.25 * per_row[0] + 0.75 * per_row[1]) / (0.25 + 0.75)
    torch.testing.assert_close(hard_cross_entropy(student, own, 0.0, partner, share), expected)
