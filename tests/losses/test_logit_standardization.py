"""The wrapper that hands z-scores to another loss."""

from dataclasses import dataclass, field

import pytest
import torch
from every_logit_loss import labels
from hydra.types import RunMode
from omegaconf import OmegaConf
from reference import logits, value_and_gradient

from distill_cli.config.loss_terms import LossTerm, terms_of
from distill_cli.config.overrides import as_hydra
from distill_cli.config.targets import instantiate_nested
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import config_loader, user_config
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


def composed(*words) -> LossTerm:
    with user_config(None), config_loader() as loader:
        config = loader.load_configuration("config", [as_hydra(word) for word in words], RunMode.RUN)
    (term,) = terms_of(OmegaConf.to_container(config.loss, resolve=True))
    return term


def test_views_and_warm_up_are_those_of_the_loss_within_unless_set():
    assert (composed("loss=lskd").views, composed("loss=lskd").weight_schedule) == (1, None)
    assert composed("loss=lskd", "loss.of=mlkd").views == 2
    assert composed("loss=lskd", "loss.of=mlkd", "loss.of.views=1").views == 1
    around_dkd = composed("loss=lskd", "loss.of=dkd")
    assert around_dkd.weight_schedule == composed("loss=dkd").weight_schedule
    assert (around_dkd.weight, around_dkd.hard_weight) == (9.0, 0.1)
    constant = "{_target_:distill_cli.schedules.Constant,start:1.0}"
    own = composed("loss=lskd", "loss.of=dkd", f"+loss.weight_schedule={constant}")
    assert own.weight_schedule["_target_"].endswith("Constant")


def test_what_is_wrong_in_the_loss_within_is_named_by_its_place():
    with pytest.raises(ConfigError, match=r"^loss\.of\.views=3: must be 1 or 2"):
        composed("loss=lskd", "loss.of=mlkd", "loss.of.views=3")
    with pytest.raises(ConfigError, match=r"^loss\.of\.weight_schedule=linear: must be a schedule"):
        composed("loss=lskd", "loss.of=dkd", "loss.of.weight_schedule=linear")
