"""Multi-level logit distillation: its correlations against the published values, its sum against the paper's."""

import pytest
import torch
from reference import golden_input, logits, named, published, value_and_gradient

from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.mlkd import MultiLevel, gram_distance, views_in
from distill_cli.losses.outputs import Outputs

PARTS = {
    "mlkd_batch_correlation": MultiLevel(factors=[1.0], instance=0.0, classes=0.0),
    "mlkd_class_correlation": MultiLevel(factors=[1.0], instance=0.0, batch=0.0),
}
NO_LABELS = torch.full((16,), -1)


def by_the_paper(student, teacher, temperatures):
    """Sample by sample, class by class."""
    total = torch.zeros((), dtype=torch.float64)
    (samples, classes) = student.shape
    for t in temperatures:
        p, q = (student / t).softmax(1), (teacher / t).softmax(1)
        total += t**2 * sum((q[i] * (q[i] / p[i]).log()).sum() for i in range(samples)) / samples
        for axis, count in ((0, samples), (1, classes)):
            for i in range(count):
                for j in range(count):
                    of_student = p.select(axis, i) @ p.select(axis, j)
                    of_teacher = q.select(axis, i) @ q.select(axis, j)
                    total += (of_student - of_teacher) ** 2 / count
    return total


@pytest.mark.parametrize("entry", published(*PARTS), ids=named)
def test_the_correlations_give_the_value_and_gradient_of_the_published_code(entry):
    student, teacher = golden_input("student_logits"), golden_input("teacher_logits")
    loss, temperature = PARTS[entry["loss"]], entry["params"]["temperature"]
    value, gradient = value_and_gradient(loss, student, teacher, temperature)
    assert value == pytest.approx(entry["value"], rel=1e-9)
    assert gradient.norm().item() == pytest.approx(entry["grad_norm"][0], rel=1e-9)


def test_at_temperature_4_it_is_the_sum_of_three_levels_at_2_3_4_5_and_6():
    value, _ = value_and_gradient(MultiLevel(), logits(0), logits(1), 4.0)
    assert value == pytest.approx(by_the_paper(logits(0), logits(1), (2, 3, 4, 5, 6)).item(), rel=1e-12)


def test_its_instances_are_kd_at_each_temperature():
    loss = MultiLevel(factors=[0.5, 2.0], batch=0.0, classes=0.0)
    value, gradient = value_and_gradient(loss, logits(0), logits(1), 4.0)
    at = [value_and_gradient(KnowledgeDistillation(), logits(0), logits(1), t) for t in (2.0, 8.0)]
    assert value == pytest.approx(at[0][0] + at[1][0], rel=1e-12)
    torch.testing.assert_close(gradient, at[0][1] + at[1][1], rtol=1e-10, atol=1e-14)


def test_two_views_are_compared_within_themselves():
    student, teacher = logits(0), logits(1)
    index = torch.arange(8).repeat_interleave(2)
    found = MultiLevel()(Outputs(student, index=index), Outputs(teacher), NO_LABELS, 4.0)
    each = [value_and_gradient(MultiLevel(), student[v::2], teacher[v::2], 4.0)[0] for v in range(2)]
    assert found.item() == pytest.approx(sum(each) / 2, rel=1e-12)
    together, _ = value_and_gradient(MultiLevel(), student, teacher, 4.0)
    assert found.item() != pytest.approx(together, rel=1e-3)


@pytest.mark.parametrize(
    ("index", "views"), [([3, 3, 5, 5], 2), ([3, 5, 3, 5], 1), ([3, 3, 5], 1), ([7], 1), (None, 1)]
)
def test_views_are_recognised_by_samples_that_stand_in_pairs(index, views):
    assert views_in(None if index is None else torch.tensor(index)) == views


def test_no_order_of_samples_or_classes_matters_with_one_view():
    student, teacher = logits(0), logits(1)
    value, _ = value_and_gradient(MultiLevel(), student, teacher, 4.0)
    rows, columns = torch.randperm(16), torch.randperm(10)
    moved, _ = value_and_gradient(MultiLevel(), student[rows][:, columns], teacher[rows][:, columns], 4.0)
    assert moved == pytest.approx(value, rel=1e-12)


def test_the_distance_of_gram_matrices_has_its_gradient_on_both_sides():
    generator = torch.Generator().manual_seed(0)
    pair = [torch.rand(2, 4, 3, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2)]
    assert torch.autograd.gradcheck(gram_distance, pair)


def test_near_the_teacher_float32_keeps_the_digits_of_the_distance():
    teacher = logits(0).softmax(1)
    student = (teacher + 1e-5 * logits(1)).float()
    exact = (
        student.double() @ student.double().T - teacher.float().double() @ teacher.float().double().T
    ).square()
    assert gram_distance(student, teacher.float()).item() == pytest.approx(exact.sum().item(), rel=1e-4)


@pytest.mark.parametrize("factors", [[], [0.0, 1.0], [-1.0]])
def test_factors_that_give_no_temperature_are_refused(factors):
    with pytest.raises(ValueError, match="factors="):
        MultiLevel(factors)
