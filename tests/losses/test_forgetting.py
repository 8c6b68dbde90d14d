"""What a student knew before: a term on the old classes."""

import pytest
import torch
from reference import logits, value_and_gradient

from distill_cli.errors import ConfigError
from distill_cli.losses.lwf import LearningWithoutForgetting
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting

KNOWN = torch.tensor([7, 0, 3, 4])  # columns in the new student, in the order of the old one's classes


def keeping(temperature=2.0, known=KNOWN):
    loss = LearningWithoutForgetting(temperature)
    setting = Setting(labels=torch.zeros(5, dtype=torch.long), classes=10, known_classes=known)
    old = Outputs(logits(9, rows=2, classes=4))
    loss.fit(Outputs(logits(8, rows=2)), old, setting)
    return loss


def by_the_paper(new, old, temperature):
    """Li and Hoiem 2016, equations 2 and 3: probabilities to the power of 1 / T, made to add up to 1 again."""
    powers = [z.softmax(1) ** (1 / temperature) for z in (old, new[:, KNOWN])]
    y_old, y_new = (power / power.sum(1, keepdim=True) for power in powers)
    return -(y_old * y_new.log()).sum(1).mean()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_its_gradient_is_t_squared_times_that_of_the_papers_loss(temperature):
    old, new = logits(1, classes=4), logits(0)
    _, gradient = value_and_gradient(keeping(temperature), new, old)
    leaf = new.clone().requires_grad_()
    (published,) = torch.autograd.grad(by_the_paper(leaf, old, temperature), leaf)
    torch.testing.assert_close(gradient, temperature**2 * published, rtol=1e-9, atol=1e-14)


def test_its_value_is_the_papers_loss_less_the_entropy_of_the_old_model():
    old, new = logits(1, classes=4), logits(0)
    value, _ = value_and_gradient(keeping(), new, old)
    p = (old / 2).softmax(1)
    entropy = -(p * p.log()).sum(1).mean()
    assert value == pytest.approx(4 * (by_the_paper(new, old, 2.0) - entropy).item(), rel=1e-9)


def test_a_student_that_still_says_the_same_of_old_classes_costs_nothing_whatever_it_says_of_new_ones():
    new = logits(0)
    value, gradient = value_and_gradient(keeping(), new, new[:, KNOWN] + 5)
    assert value == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max() < 1e-12


def test_new_classes_get_no_gradient():
    _, gradient = value_and_gradient(keeping(), logits(0), logits(1, classes=4))
    assert sorted(gradient.abs().amax(dim=0).nonzero().flatten().tolist()) == sorted(KNOWN.tolist())


def test_without_an_old_student_it_says_how_to_name_one():
    with pytest.raises(ConfigError, match=r"student\.init=PATH"):
        keeping(known=None)
