"""The wrapper that hands z-scores to another loss."""

from dataclasses import dataclass, field

import pytest
import torch
from every_logit_loss import labels
from reference import logits, value_and_gradient

from distill_cli.config.targets import instantiate_nested
from distill_cli.errors import ConfigError
from distill_cli.losses.dkd import DecoupledDistillation
from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.lskd import LogitStandardization
from distill_cli.losses.outputs import Outputs


@dataclass
class Listener:
    """A loss that keeps what it was given."""

    heard: list = field(default_factory=list)

    def __call__(self, *given):
        self.heard = list(given)
        return given[0].logits.sum()


def z_scores(of):
    return (of - of.mean(1, keepdim=True)) / (1e-7 + of.std(1, keepdim=True))


def test_dkd_of_standardised_logits_is_dkd_of_z_scores():
    value, _ = value_and_gradient(
        LogitStandardization(DecoupledDistillation()), logits(0), logits(1), 2.0, labels(16)
    )
    expected, _ = value_and_gradient(
        DecoupledDistillation(), z_scores(logits(0)), z_scores(logits(1)), 2.0, labels(16)
    )
    assert value == pytest.approx(expected, rel=1e-11)


def test_the_loss_within_gets_everything_else_as_it_was():
    within, embedding, index = Listener(), torch.randn(16, 3), torch.arange(16)
    student = Outputs(logits(0), embedding=embedding, index=index)
    LogitStandardization(within)(student, Outputs(logits(1)), labels(16), 2.0)
    heard, teacher, of, temperature = within.heard
    assert heard.embedding is embedding and heard.index is index and temperature == 2.0
    assert torch.equal(of, labels(16))
    for got in (heard.logits, teacher.logits):
        torch.testing.assert_close(got.mean(1), torch.zeros(16).double(), rtol=0, atol=1e-12)
        torch.testing.assert_close(got.std(1), torch.ones(16).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", [KnowledgeDistillation(), DecoupledDistillation()], ids=["kd", "dkd"])
def test_a_row_without_spread_has_z_scores_0_and_no_gradient(loss, dtype):
    """As of a classifier that starts from zeros."""
    student, teacher = logits(0).to(dtype), logits(1).to(dtype)
    student[3] = 0
    value, gradient = value_and_gradient(LogitStandardization(loss), student, teacher, 2.0, labels(16))
    flat, _ = value_and_gradient(loss, z_scores(student), z_scores(teacher), 2.0, labels(16))
    assert value == pytest.approx(flat, rel=1e-5)
    assert gradient[3].abs().max() == 0
    assert gradient.isfinite().all() and (gradient.abs().amax(1) > 0).sum() == 15


def test_rounding_in_rows_without_spread_leaves_everything_finite():
    for constant in (0.1, 1e4 / 3):
        student = torch.full((16, 10), constant)
        value, gradient = value_and_gradient(
            LogitStandardization(KnowledgeDistillation()), student, logits(1).float(), 2.0
        )
        assert torch.tensor(value).isfinite() and gradient.isfinite().all()


def test_with_one_class_there_is_nothing_to_compare_and_nothing_breaks():
    value, gradient = value_and_gradient(
        LogitStandardization(KnowledgeDistillation()), logits(0, classes=1), logits(1, classes=1), 2.0
    )
    assert value == 0 and gradient.abs().max() == 0


@pytest.mark.parametrize("of", ["kd", {"_target_": "torch.nn.Identity"}])
def test_what_is_no_loss_between_logits_is_refused_in_one_line(of, monkeypatch):
    monkeypatch.setattr(torch.nn.Identity, "fit", None, raising=False)  # a loss with parts of its own
    with pytest.raises(ConfigError, match="of must be a loss between logits") as error:
        instantiate_nested({"_target_": "distill_cli.losses.lskd.LogitStandardization", "of": of})
    assert "\n" not in str(error.value)
