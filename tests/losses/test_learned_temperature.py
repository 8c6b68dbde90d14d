"""A temperature that is learned against the student."""

import math

import pytest
import torch
from reference import logits

from distill_cli.errors import ConfigError
from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.learned_temperature import LearnedTemperature, _Reversal
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.progress import Progress
from distill_cli.schedules import Learned, values_of

SETTING = Setting(labels=torch.zeros(16, dtype=torch.long), classes=10)
STUDENT, TEACHER = Outputs(logits(0)), Outputs(logits(1))
KD = KnowledgeDistillation()

both = pytest.mark.parametrize("per_sample", [False, True], ids=["one", "per sample"])


def learned(per_sample, **arguments):
    torch.manual_seed(0)
    temperature = LearnedTemperature(Learned(**{"start": 4.0, "per_sample": per_sample, **arguments}))
    temperature.fit(STUDENT.slice(0, 2), TEACHER.slice(0, 2), SETTING)
    return temperature


def loss_at(temperature, strength=1.0, student=STUDENT):
    return KD(student, TEACHER, SETTING.labels, temperature(student, TEACHER, strength))


def descend(temperature, strength, steps=1, rate=0.1):
    """What an optimizer does that makes the loss smaller."""
    optimizer = torch.optim.SGD(temperature.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_at(temperature, strength).backward()
        optimizer.step()


@both
@pytest.mark.parametrize("start", [1.5, 4.0, 20.0])
def test_it_starts_where_the_config_says(per_sample, start):
    found = learned(per_sample, start=start)(STUDENT, TEACHER, 0.0)
    assert found.shape == ((16, 1) if per_sample else ())
    torch.testing.assert_close(found, torch.full_like(found, start))


@both
def test_descending_makes_the_loss_larger(per_sample):
    temperature = learned(per_sample)
    before = loss_at(temperature).item()
    descend(temperature, strength=1.0, steps=3)
    assert loss_at(temperature).item() > before


@both
def test_at_strength_0_it_stays_where_it_is(per_sample):
    temperature = learned(per_sample)
    descend(temperature, strength=0.0, steps=3)
    found = temperature(STUDENT, TEACHER, 0.0)
    torch.testing.assert_close(found, torch.full_like(found, 4.0), rtol=0, atol=0)


@both
def test_it_never_leaves_its_bounds(per_sample):
    temperature = learned(per_sample, low=2.0, high=9.0)
    descend(temperature, strength=1.0, steps=50, rate=100.0)
    found = temperature(STUDENT, TEACHER, 1.0)
    assert found.min() >= 2 and found.max() <= 9 and found.max() > 8.9


@both
def test_the_student_gets_the_gradient_that_it_gets_at_that_temperature(per_sample):
    temperature = learned(per_sample)
    descend(temperature, strength=1.0, steps=5)

    def gradient(of):
        leaf = logits(0).requires_grad_()
        (found,) = torch.autograd.grad(KD(Outputs(leaf), TEACHER, SETTING.labels, of(Outputs(leaf))), leaf)
        return found

    fixed = temperature(STUDENT, TEACHER, 1.0).detach()
    moving = gradient(lambda student: temperature(student, TEACHER, 1.0))
    torch.testing.assert_close(moving, gradient(lambda student: fixed), rtol=0, atol=0)


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_the_reversal_turns_the_gradient_round_and_scales_it(strength):
    value = logits(0, rows=1).requires_grad_()
    assert torch.equal(_Reversal.apply(value, strength), value)
    (plain,) = torch.autograd.grad(value.sin().sum(), value)
    (reversed_,) = torch.autograd.grad(_Reversal.apply(value, strength).sin().sum(), value)
    torch.testing.assert_close(reversed_, -strength * plain, rtol=0, atol=0)


def test_its_gradient_is_the_derivative_of_the_loss_with_t_squared_times_minus_the_strength():
    temperature = learned(False, start=6.0)
    loss_at(temperature, strength=0.5).backward()

    def loss(x):
        t = 1 + 20 / (1 + math.exp(-x))
        p, q = (TEACHER.logits / t).softmax(1), (STUDENT.logits / t).softmax(1)
        return t**2 * (p * (p / q).log()).sum(1).mean().item()

    x = math.log(5 / 15)
    slope = (loss(x + 1e-5) - loss(x - 1e-5)) / 2e-5
    assert temperature.number.grad.item() == pytest.approx(-0.5 * slope, rel=1e-4)


def test_samples_come_to_differ():
    temperature = learned(True)
    descend(temperature, strength=1.0, steps=20)
    assert temperature(STUDENT, TEACHER, 1.0).std() > 0.01


@both
def test_what_it_learned_is_resumed(per_sample):
    temperature, resumed = learned(per_sample), learned(per_sample)
    descend(temperature, strength=1.0, steps=3)
    assert not torch.equal(temperature(STUDENT, TEACHER, 1.0), resumed(STUDENT, TEACHER, 1.0))
    resumed.load_state_dict(temperature.state_dict())
    assert torch.equal(temperature(STUDENT, TEACHER, 1.0), resumed(STUDENT, TEACHER, 1.0))


@both
def test_extreme_logits_in_half_precision_give_a_finite_temperature_in_float32(per_sample):
    signs = torch.tensor([1.0, -1.0]).repeat(5).expand(1, 10)
    student, teacher = Outputs((1e4 * signs).half()), Outputs((-1e4 * signs).half())
    temperature = learned(per_sample)
    descend(temperature, strength=1.0)
    found = temperature(student, teacher, 1.0)
    assert found.dtype == torch.float32 and found.isfinite().all()
    KD(student, teacher, SETTING.labels[:1], found).backward()
    assert all(parameter.grad.isfinite().all() for parameter in temperature.parameters())


def test_a_teacher_without_all_of_its_logits_is_refused():
    learned = LearnedTemperature(Learned(4.0))
    learned.fit(STUDENT, STUDENT, SETTING)
    with pytest.raises(ConfigError, match="soft_labels=float16"):
        learned(STUDENT, Outputs(None), 0.0)


def test_as_a_schedule_it_is_its_start():
    assert set(values_of(Learned(4.0))) == {4.0}


def test_the_strength_rises_along_half_a_cosine_and_stays():
    def at(step):
        return Learned(4.0, strongest=0.8, until=0.1).strength(Progress(step, 1000, 10))

    assert at(0) == 0
    assert at(50) == pytest.approx(0.4)
    assert at(25) == pytest.approx(0.4 * (1 - math.cos(math.pi / 4)))
    assert at(100) == at(999) == 0.8


@pytest.mark.parametrize(
    "refused",
    [{"start": 1.0}, {"start": 21.0}, {"low": 0.0}, {"strongest": -1.0}, {"until": 0.0}, {"low": "a"}],
)
def test_what_no_temperature_can_follow_is_refused(refused):
    with pytest.raises(ValueError, match="must"):
        Learned(**{"start": 4.0, **refused})
