"""Losses of a teacher of whom only the largest logits and the weight of the rest are known."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from distill_cli.errors import ConfigError
from distill_cli.losses.cross_entropy import TeacherCrossEntropy
from distill_cli.losses.jensen_shannon import JensenShannon
from distill_cli.losses.kd import KnowledgeDistillation, softened_kl
from distill_cli.losses.logit_mse import LogitMse
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.reverse_kl import ReverseKl
from distill_cli.losses.soft_cross_entropy import SoftCrossEntropy
from distill_cli.losses.tail import Tail, node_count, temperatures
from distill_cli.losses.top import TopLogits

CLASSES = 40
NODES = temperatures(node_count(CLASSES - 5))  # there the tail is exact


def logits(seed: int, rows: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(rows, CLASSES, generator=generator, dtype=torch.float64)


def top(dense: torch.Tensor, k: int) -> Outputs:
    ordered, index = (dense - dense.amax(1, keepdim=True)).sort(dim=1, descending=True)
    tail = Tail.of(ordered[:, k:]) if k < dense.shape[1] else None
    return Outputs(None, TopLogits(index[:, :k], ordered[:, :k], tail))


def value_and_gradient(loss, student, teacher, temperature):
    student = student.clone().requires_grad_()
    value = loss(Outputs(student), teacher, torch.zeros(len(student), dtype=torch.long), temperature)
    (gradient,) = torch.autograd.grad(value, student)
    return value.item(), gradient


def merged_kl(student, teacher, k, temperature):
    """By hand: probabilities first, the rest summed."""
    p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
    order = teacher.argsort(1, descending=True)
    p, q = p.gather(1, order), q.gather(1, order)
    p, q = (torch.cat([x[:, :k], x[:, k:].sum(1, keepdim=True)], 1) for x in (p, q))
    return (p * (p / q).log()).sum(1)


@pytest.mark.parametrize("temperature", NODES)
def test_the_soft_loss_is_the_kl_over_the_k_classes_and_one_for_the_rest(temperature):
    student, teacher = logits(0), logits(1)
    value, _ = value_and_gradient(KnowledgeDistillation(), student, top(teacher, 5), temperature)
    by_hand = temperature**2 * merged_kl(student, teacher, 5, temperature).mean().item()
    assert value == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize("temperature", [NODES[0], NODES[5], NODES[-1]])
def test_more_classes_bring_the_kl_up_to_the_dense_one_and_never_above(temperature):
    student, teacher = Outputs(logits(0)), logits(1)
    kls = [softened_kl(student, top(teacher, k), temperature) for k in (1, 2, 5, 20, 39, 40)]
    for fewer, more in pairwise(kls):
        assert bool((fewer <= more + 1e-12).all())
    torch.testing.assert_close(
        kls[-1], softened_kl(student, Outputs(teacher), temperature), rtol=1e-10, atol=0
    )


@pytest.mark.parametrize("loss", [KnowledgeDistillation(), SoftCrossEntropy(), JensenShannon(), ReverseKl()])
def test_with_all_classes_value_and_gradient_are_those_of_the_dense_teacher(loss):
    student, teacher = logits(0), logits(1)
    for temperature in (0.5, 1, 4, 20, 100):
        value, gradient = value_and_gradient(loss, student, top(teacher, CLASSES), temperature)
        expected, expected_gradient = value_and_gradient(loss, student, Outputs(teacher), temperature)
        assert value == pytest.approx(expected, rel=1e-10)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("loss", [KnowledgeDistillation(), JensenShannon(), JensenShannon(0.1), ReverseKl()])
def test_a_divergence_is_never_above_the_one_over_all_classes(loss):
    student, teacher = logits(0), logits(1)
    values = [value_and_gradient(loss, student, top(teacher, k), NODES[3])[0] for k in (1, 5, 20)]
    values.append(value_and_gradient(loss, student, Outputs(teacher), NODES[3])[0])
    assert values == sorted(values) and values[0] > 0


def test_soft_cross_entropy_has_the_gradient_of_kd():
    student, teacher = logits(0), top(logits(1), 5)
    _, kd = value_and_gradient(KnowledgeDistillation(), student, teacher, 4.0)
    _, soft = value_and_gradient(SoftCrossEntropy(), student, teacher, 4.0)
    torch.testing.assert_close(kd, soft, rtol=1e-9, atol=1e-13)


def test_the_gradient_holds_the_students_tail_down():
    teacher = logits(1)
    order = teacher.argsort(1, descending=True)
    heavy = teacher.scatter_add(1, order[:, 5:], torch.full((16, CLASSES - 5), 2.0, dtype=torch.float64))
    _, gradient = value_and_gradient(KnowledgeDistillation(), heavy, top(teacher, 5), 4.0)
    assert bool((gradient.gather(1, order[:, 5:]) > 0).all())
    assert bool((gradient.gather(1, order[:, :5]) < 0).all())


def test_the_gradient_is_that_of_finite_differences():
    student, teacher = logits(0, rows=2).requires_grad_(), top(logits(1, rows=2), 5)
    assert torch.autograd.gradcheck(lambda x: softened_kl(Outputs(x), teacher, 3.0), student)


def test_a_student_equal_to_its_teacher_costs_nothing():
    value, gradient = value_and_gradient(KnowledgeDistillation(), logits(0), top(logits(0), 5), NODES[3])
    assert value == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max() < 1e-12


def test_teacher_cross_entropy_takes_the_teachers_top_class():
    student, teacher = logits(0), logits(1)
    value, _ = value_and_gradient(TeacherCrossEntropy(), student, top(teacher, 5), 4.0)
    assert value == pytest.approx(F.cross_entropy(student, teacher.argmax(1)).item(), rel=1e-12)


def test_a_student_in_half_precision_is_compared_in_float32():
    student, teacher = logits(0), top(logits(1), 5)
    kl = softened_kl(Outputs(student.bfloat16()), Outputs(None, teacher.top), 4.0)
    exact = softened_kl(Outputs(student.bfloat16().double()), teacher, 4.0)
    torch.testing.assert_close(kl.double(), exact, rtol=1e-4, atol=1e-6)


def test_a_loss_that_needs_all_logits_says_so_in_one_line():
    with pytest.raises(
        ConfigError, match=r"needs all logits, soft_labels=top_k keeps 5.*use loss=kd or"
    ) as error:
        value_and_gradient(LogitMse(), logits(0), top(logits(1), 5), 4.0)
    assert "\n" not in str(error.value)


def test_temperatures_below_1_are_refused():
    with pytest.raises(ConfigError, match="from temperature=1 up"):
        value_and_gradient(KnowledgeDistillation(), logits(0), top(logits(1), 5), 0.99)
