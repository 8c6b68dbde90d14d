"""What holds for every loss of several levels, without a teacher, or with the old student for one."""

import pytest
import torch
from reference import TEMPERATURES, logits

from distill_cli.losses.lwf import LearningWithoutForgetting
from distill_cli.losses.mlkd import MultiLevel
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.self_distillation import SelfDistillation
from distill_cli.losses.setting import Setting
from distill_cli.losses.teacher_free import TeacherFree

ALL = torch.arange(10)


def fitted(kind, student, teacher):
    """Ready for these rows: their samples have been seen before, with the teacher's logits."""
    loss = kind()
    if isinstance(loss, torch.nn.Module):
        loss.fit(
            student.slice(0, 2), teacher, Setting(torch.zeros(len(teacher.logits)), 10, known_classes=ALL)
        )
    if isinstance(loss, SelfDistillation):
        loss(Outputs(teacher.logits, index=student.index), teacher, labels(len(teacher.logits)), 1.0)
        loss.eval()
    return loss


def labels(rows):
    return torch.arange(rows) % 10


def value_of(kind, student, teacher, temperature=4.0):
    student = Outputs(student, index=torch.arange(len(student)))
    teacher = Outputs(teacher)
    return fitted(kind, student, teacher)(student, teacher, labels(len(teacher.logits)), temperature)


every = pytest.mark.parametrize(
    "kind", [MultiLevel, TeacherFree, SelfDistillation, LearningWithoutForgetting]
)


@every
def test_its_gradient_is_that_of_its_value(kind):
    student, teacher = logits(0, rows=4).requires_grad_(), Outputs(logits(1, rows=4))
    index = torch.arange(4)
    loss = fitted(kind, Outputs(student.detach(), index=index), teacher)
    assert torch.autograd.gradcheck(
        lambda z: loss(Outputs(z, index=index), teacher, labels(4), 3.0), student, atol=1e-6
    )


@every
def test_a_number_added_to_a_row_changes_nothing(kind):
    found = value_of(kind, logits(0) + 7, logits(1) - 3)
    assert found.item() == pytest.approx(value_of(kind, logits(0), logits(1)).item(), rel=1e-3)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(kind, dtype):
    student, teacher = logits(0).to(dtype), logits(1).to(dtype)
    found = value_of(kind, student, teacher)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, value_of(kind, student.float(), teacher.float()), rtol=1e-6, atol=0)
    torch.testing.assert_close(
        found.double(), value_of(kind, student.double(), teacher.double()), rtol=1e-4, atol=0
    )


@every
@pytest.mark.parametrize("rows", [1, 3])
def test_extreme_logits_and_a_batch_of_one_stay_finite(kind, rows):
    for student, teacher in [(1e4, -1e4), (-1e4, 1e4), (1e4, 1e4)]:
        signs = torch.tensor([1.0, -1.0]).repeat(5).expand(rows, 10)
        leaf = (student * signs).clone().requires_grad_()
        value = value_of(kind, leaf, teacher * signs)
        value.backward()
        assert value.isfinite()
        assert leaf.grad is not None and leaf.grad.isfinite().all()


@every
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_temperatures_that_are_tensors_agree_with_the_number(kind, temperature):
    expected = value_of(kind, logits(0), logits(1), temperature).item()
    one = torch.tensor(temperature, dtype=torch.float64)
    for tensor in (one, one.expand(16, 1)):
        assert value_of(kind, logits(0), logits(1), tensor).item() == pytest.approx(expected, rel=1e-9)


def test_only_the_loss_that_has_no_temperature_of_its_own_teaches_a_learned_one():
    def follows(kind):
        temperature = torch.full((16, 1), 4.0, dtype=torch.float64).requires_grad_()
        value = value_of(kind, logits(0).requires_grad_(), logits(1), temperature)
        (gradient,) = torch.autograd.grad(value, temperature, allow_unused=True)
        return gradient is not None

    kinds = [MultiLevel, TeacherFree, SelfDistillation, LearningWithoutForgetting]
    assert [follows(kind) for kind in kinds] == [True, False, False, False]


def test_a_learned_temperature_gets_the_gradient_of_several_levels():
    temperature = torch.linspace(2, 6, 4, dtype=torch.float64)[:, None].requires_grad_()
    student, teacher = Outputs(logits(0, rows=4)), Outputs(logits(1, rows=4))
    assert torch.autograd.gradcheck(lambda t: MultiLevel()(student, teacher, labels(4), t), temperature)


@pytest.mark.parametrize("kind", [MultiLevel, SelfDistillation, LearningWithoutForgetting])
def test_a_student_that_says_the_same_costs_nothing(kind):
    student = logits(0).half().double().requires_grad_()
    value = value_of(kind, student, student.detach())
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-5)  # former logits are rounded
    assert student.grad is not None and student.grad.abs().max() < 1e-4
