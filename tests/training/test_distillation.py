"""The distillation objective: weights of its terms, and where the teacher's word comes from."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from distill_cli.data.batch import Batch
from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.outputs import Outputs
from distill_cli.progress import Progress
from distill_cli.runtime.device import resolve
from distill_cli.schedules import Constant, Linear
from distill_cli.training.objectives import CrossEntropy, Distillation
from distill_cli.training.teacher_sources import OnlineTeacher
from distill_cli.training.terms import Term

CPU = resolve("cpu", "fp32", "false")


def batch(labels=(0, 1, 2, 0)) -> Batch:
    generator = torch.Generator().manual_seed(0)
    index = torch.arange(len(labels))
    inputs = torch.randn(len(labels), 1, 4, 4, generator=generator)
    return Batch(inputs, torch.tensor(labels), index, torch.zeros_like(index))


def student_logits() -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(1))


def teacher_logits() -> torch.Tensor:
    return 3 * torch.randn(4, 3, generator=torch.Generator().manual_seed(2))


def objective(alpha, temperature) -> Distillation:
    return Distillation(
        CrossEntropy(),
        (Term("kd", KnowledgeDistillation()),),
        lambda b: Outputs(teacher_logits()),
        temperature,
        alpha,
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_loss_is_the_weighted_sum_with_t_squared_on_every_path(alpha, temperature):
    loss, logs = objective(Constant(alpha), Constant(temperature))(
        Outputs(student_logits()), batch(), Progress(0, 10, 5)
    )
    hard = F.cross_entropy(student_logits(), batch().labels)
    log_student = (student_logits() / temperature).log_softmax(1)
    soft = temperature**2 * F.kl_div(
        log_student, (teacher_logits() / temperature).softmax(1), reduction="batchmean"
    )
    torch.testing.assert_close(loss, (1 - alpha) * hard + alpha * soft)
    torch.testing.assert_close(logs["soft"], soft)


def test_alpha_and_temperature_move_with_progress():
    moving = objective(Linear(1.0, 0.0), Linear(8.0, 1.0))
    start, _ = moving(Outputs(student_logits()), batch(), Progress(0, 100, 10))
    fixed, _ = objective(Constant(1.0), Constant(8.0))(
        Outputs(student_logits()), batch(), Progress(50, 100, 10)
    )
    middle, _ = moving(Outputs(student_logits()), batch(), Progress(50, 100, 10))
    fixed_middle, _ = objective(Constant(0.5), Constant(4.5))(
        Outputs(student_logits()), batch(), Progress(0, 100, 10)
    )
    torch.testing.assert_close(start, fixed)
    torch.testing.assert_close(middle, fixed_middle)


def test_unlabelled_samples_still_learn_from_the_teacher():
    unlabelled = batch(labels=(-1, -1, -1, -1))
    loss, logs = objective(Constant(0.9), Constant(4.0))(
        Outputs(student_logits()), unlabelled, Progress(0, 10, 5)
    )
    assert logs["hard"] == 0 and loss == 0.9 * logs["soft"]


def test_an_online_teacher_stays_in_eval_mode_and_gets_no_gradient():
    teacher = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).eval()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    source = OnlineTeacher(teacher, CPU)
    student = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    distillation = Distillation(
        CrossEntropy(), (Term("kd", KnowledgeDistillation()),), source, Constant(4.0), Constant(0.9)
    )
    loss, _ = distillation(Outputs(student(batch().inputs)), batch(), Progress(0, 10, 5))
    loss.backward()
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_a_teacher_in_training_mode_is_refused():
    with pytest.raises(AssertionError, match="training mode drifts"):
        OnlineTeacher(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), CPU)(batch())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_loss_may_compute_in_another_precision(dtype):
    def gap(student, teacher, labels, temperature):
        return (student.logits.to(dtype) - teacher.logits.to(dtype)).square().mean()

    logits = student_logits().requires_grad_()
    distillation = Distillation(
        CrossEntropy(), (Term("gap", gap),), lambda b: Outputs(teacher_logits()), Constant(1.0), Constant(0.5)
    )
    loss, _ = distillation(Outputs(logits), batch(), Progress(0, 10, 5))
    loss.backward()
    assert loss.dtype == torch.float32 and logits.grad.isfinite().all()


def test_an_online_teacher_has_threads_of_its_own_beside_a_small_student():
    used = []

    class Counting(nn.Module):
        def forward(self, pictures):
            used.append(torch.get_num_threads())
            return pictures.flatten(1)[:, :3]

    source = OnlineTeacher(Counting().eval(), replace(CPU, threads=2))
    with replace(CPU, threads=1).at_work():
        source(batch())
        assert torch.get_num_threads() == 1
    assert used == [2]


def first_features(student, teacher, labels, temperature):
    """The value of each of the features that it is shown, as the digits of a number."""
    return sum(feature.mean() * 10**place for place, feature in enumerate(student.features))


@pytest.mark.parametrize(
    ("own", "seen"), [((0, 1), 21), ((1, 0), 12), ((0, 0), 11), ((1, 1), 22), ((1,), 2), ((0, 0, 1), 211)]
)
def test_a_term_sees_its_own_layers_in_its_own_order(own, seen):
    features = (torch.full((4, 2), 1.0), torch.full((4, 3), 2.0))
    student = Outputs(student_logits(), features=features)
    teacher = Outputs(teacher_logits(), features=features)
    term = Term("features", first_features, features=own)
    assert term(student, teacher, batch().labels, 1.0, batch().inputs).item() == seen


def total(*terms, alpha=0.8) -> float:
    teacher = lambda asked: Outputs(teacher_logits())  # noqa: E731
    distillation = Distillation(CrossEntropy(), terms, teacher, Constant(2.0), Constant(alpha))
    loss, _ = distillation(Outputs(student_logits()), batch(), Progress(5, 10, 5))
    return loss.item()


KD = KnowledgeDistillation()


def test_what_a_schedule_takes_from_alpha_goes_to_the_hard_loss_alone_and_beside_other_terms():
    quarter = Term("kd", KD, schedule=Constant(0.25))
    unheard = Term("unheard", KD, weight=0.0)
    assert total(quarter) == pytest.approx(total(Term("kd", KD), alpha=0.2), rel=1e-6)
    assert total(quarter, unheard) == pytest.approx(total(quarter), rel=1e-6)
    silent = Term("kd", KD, schedule=Constant(0.0))
    assert total(silent, unheard) == pytest.approx(total(silent), rel=1e-6)


def test_beside_each_other_terms_by_alpha_leave_the_hard_loss_what_they_leave_on_average():
    hard = F.cross_entropy(student_logits(), batch().labels).item()
    soft = KD(Outputs(student_logits()), Outputs(teacher_logits()), batch().labels, 2.0).item()
    found = total(Term("whole", KD), Term("half", KD, schedule=Constant(0.5)))
    assert found == pytest.approx((1 - 0.8 * 0.75) * hard + 0.8 * 1.5 * soft, rel=1e-6)
    assert total(Term("one", KD), Term("other", KD)) == pytest.approx(0.2 * hard + 1.6 * soft, rel=1e-6)
