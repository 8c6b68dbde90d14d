"""Losses that need no teacher: one made by hand, and the student an epoch ago."""

import math
from dataclasses import replace

import pytest
import torch
from reference import logits, value_and_gradient
from torch.nn import functional as F

from distill_cli.errors import ConfigError
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.self_distillation import SelfDistillation
from distill_cli.losses.setting import Setting
from distill_cli.losses.teacher_free import TeacherFree

LABELS = torch.arange(16) % 10
SETTING = Setting(labels=torch.arange(40) % 10, classes=10)
NOBODY = Outputs(None)


def by_hand(student, labels, confidence, temperature):
    """Yuan et al. 2020, equations of Tf-KD_reg, a sample at a time."""
    total, classes = 0.0, student.shape[1]
    for row, label in zip(student, labels, strict=True):
        v = torch.full((classes,), (1 - confidence) / (classes - 1), dtype=torch.float64)
        v[label] = confidence
        assert v.sum().item() == pytest.approx(1)
        p, q = (v.log() / temperature).softmax(0), (row / temperature).softmax(0)
        total += temperature**2 * (p * (p / q).log()).sum().item()
    return total / len(labels)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_the_teacher_made_by_hand_teaches_what_the_paper_says(confidence, temperature):
    value, _ = value_and_gradient(TeacherFree(confidence, temperature), logits(0), logits(1), labels=LABELS)
    assert value == pytest.approx(by_hand(logits(0), LABELS, confidence, temperature), rel=1e-12)


def test_no_teacher_is_asked():
    found = TeacherFree()(Outputs(logits(0)), NOBODY, LABELS, 4.0)
    assert found.item() == pytest.approx(by_hand(logits(0), LABELS, 0.99, 20.0), rel=1e-12)


def test_a_student_like_the_teacher_made_by_hand_costs_nothing():
    student = F.one_hot(LABELS, 10).double() * math.log(0.99 * 9 / 0.01) + 3
    value, gradient = value_and_gradient(TeacherFree(), student, student, labels=LABELS)
    assert value == pytest.approx(0, abs=1e-11)
    assert gradient.abs().max() < 1e-12


def test_rows_without_a_label_cost_nothing():
    labels = torch.where(torch.arange(16) % 3 == 0, -1, LABELS)
    value, gradient = value_and_gradient(TeacherFree(), logits(0), logits(1), labels=labels)
    known = labels >= 0
    assert value == pytest.approx(by_hand(logits(0)[known], labels[known], 0.99, 20.0), rel=1e-12)
    assert (gradient.abs().amax(dim=1) > 0).tolist() == known.tolist()


def test_a_batch_without_a_label_costs_nothing_and_has_a_gradient():
    value, gradient = value_and_gradient(TeacherFree(), logits(0), logits(1), labels=torch.full((16,), -1))
    assert value == 0
    assert gradient.abs().max() == 0


@pytest.mark.parametrize("refused", [{"confidence": 1.0}, {"confidence": 0.0}, {"temperature": 0.0}])
def test_a_teacher_that_cannot_be_made_is_refused(refused):
    with pytest.raises(ValueError, match="must"):
        TeacherFree(**refused)


def remembering(temperature=1.0, setting=SETTING):
    loss = SelfDistillation(temperature)
    loss.fit(Outputs(logits(9, rows=2)), NOBODY, setting)
    return loss


def look(loss, student, index):
    return loss(Outputs(student, index=index), NOBODY, torch.full((len(index),), -1), 4.0)


def rounded(former):
    """As it is kept."""
    return (former - former.amax(dim=1, keepdim=True)).half().double()


def kl(former, student, temperature=1.0):
    p, q = (rounded(former) / temperature).softmax(1), (student / temperature).softmax(1)
    return (p * (p / q).log()).sum(1)


def test_the_first_look_at_a_sample_costs_nothing():
    loss, student = remembering(), logits(0).requires_grad_()
    value = look(loss, student, torch.arange(16))
    value.backward()
    assert value.item() == 0
    assert student.grad is not None and student.grad.abs().max() == 0


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_second_look_is_held_to_the_first(temperature):
    loss, index = remembering(temperature), torch.randperm(40)[:16]
    look(loss, logits(0), index)
    again = torch.randperm(16)
    value = look(loss, logits(1), index[again])
    expected = temperature**2 * kl(logits(0)[again], logits(1), temperature).mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_third_look_is_held_to_the_second():
    loss, index = remembering(), torch.arange(16)
    for seed in (0, 1):
        look(loss, logits(seed), index)
    value = look(loss, logits(2), index)
    assert value.item() == pytest.approx(kl(logits(1), logits(2)).mean().item(), rel=1e-12)


def test_samples_seen_for_the_first_time_count_in_the_mean():
    loss = remembering()
    look(loss, logits(0), torch.arange(16))
    value = look(loss, logits(1), torch.arange(16) + 12)
    assert value.item() == pytest.approx(kl(logits(0)[12:], logits(1)[:4]).sum().item() / 16, rel=1e-12)


def test_with_alpha_it_has_the_gradient_of_the_paper():
    loss, index, alpha = remembering(), torch.arange(16), 0.3
    look(loss, logits(0), index)
    student = logits(1).requires_grad_()
    total = (1 - alpha) * F.cross_entropy(student, LABELS) + alpha * look(loss, student, index)
    (found,) = torch.autograd.grad(total, student)
    target = (1 - alpha) * F.one_hot(LABELS, 10).double() + alpha * rounded(logits(0)).softmax(1)
    (published,) = torch.autograd.grad(-(target * student.log_softmax(1)).sum(1).mean(), student)
    torch.testing.assert_close(found, published, rtol=1e-10, atol=1e-14)


def test_of_two_views_of_a_sample_in_a_step_the_first_is_remembered():
    loss = remembering(setting=replace(SETTING, views=2))
    twice = torch.arange(8).repeat_interleave(2)
    look(loss, logits(0), twice)
    value = look(loss, logits(1), twice)
    expected = kl(logits(0)[::2].repeat_interleave(2, 0), logits(1))
    assert value.item() == pytest.approx(expected.mean().item(), rel=1e-12)


def test_mixtures_of_samples_are_refused_in_one_line():
    with pytest.raises(ConfigError, match="loss=self_distillation remembers each sample by itself") as error:
        remembering(setting=replace(SETTING, mixes=True))
    assert "\n" not in str(error.value) and "set views.mixing=none" in str(error.value)


def test_what_it_remembers_is_resumed():
    loss, resumed, index = remembering(), remembering(), torch.arange(16)
    look(loss, logits(0), index)
    resumed.load_state_dict(loss.state_dict())
    assert look(resumed, logits(1), index).item() == look(loss, logits(1), index).item() > 0


def test_in_eval_mode_it_remembers_nothing_new():
    loss, index = remembering(), torch.arange(16)
    look(loss, logits(0), index)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    look(loss.eval(), logits(1), index + 8)
    torch.testing.assert_close(loss.state_dict(), before, rtol=0, atol=0)


def test_logits_too_large_for_half_precision_are_remembered_as_finite():
    loss, index = remembering(), torch.arange(16)
    look(loss, 1e5 * logits(0), index)
    assert loss.former.isfinite().all()
    assert look(loss, logits(1), index).isfinite()
