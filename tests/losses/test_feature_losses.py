"""FitNets, attention transfer, VID and NST: published values, slow formulas, and what they have in common."""

import math
from itertools import product

import pytest
import torch
from made_maps import call, fitted, maps, narrow_and_wide
from omegaconf import OmegaConf
from reference import golden_input, named, published
from torch import nn
from torch.nn import functional as F

from distill_cli.config.loss_terms import LossTerm
from distill_cli.config.targets import instantiate
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import config_dir
from distill_cli.losses.attention_transfer import AttentionTransfer
from distill_cli.losses.fitnets import FitNets
from distill_cli.losses.nst import NeuronSelectivityTransfer, between_channels, between_positions
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.vid import VariationalInformation

LOSSES = {
    "fitnets": FitNets,
    "attention_transfer": AttentionTransfer,
    "vid": VariationalInformation,
    "nst": NeuronSelectivityTransfer,
}
WEIGHTS = {"fitnets": 100.0, "attention_transfer": 1000.0, "vid": 1.0, "nst": 50.0}
WITH_PARTS, OF_POSITIONS = ("fitnets", "vid"), ("attention_transfer", "nst")
of_each = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def made(loss, student, teacher, *, double=True, **options):
    """The loss, fitted, in float64 if it has parts."""
    loss = loss(**options)
    return fitted(loss, student, teacher, double=double and isinstance(loss, nn.Module))


def unconnected():
    """FitNets whose convolution changes nothing."""
    loss = made(FitNets, *[[golden_input("student_feature_8x8")]] * 2, batch_norm=False)
    convolution = loss.connectors[0].convolution
    nn.init.dirac_(convolution.weight)
    nn.init.zeros_(convolution.bias)
    return loss


@pytest.mark.parametrize("entry", published("attention_transfer", "nst", "hint_mse"), ids=named)
def test_the_published_value_and_gradient_come_out(entry):
    loss = unconnected() if entry["loss"] == "hint_mse" else LOSSES[entry["loss"]]()
    size = "4x4" if entry["params"].get("case") == "student_larger" else "8x8"
    student = golden_input(entry["inputs"][0]).requires_grad_()
    value = call(loss, [student], [golden_input(f"teacher_feature_{size}")])
    (gradient,) = torch.autograd.grad(value, student)
    assert value.item() == pytest.approx(entry["value"], rel=1e-9)
    assert gradient.norm().item() == pytest.approx(entry["grad_norm"][0], rel=1e-9)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_attention_is_the_sum_over_channels_of_a_power_of_what_is_there(power):
    student, teacher = narrow_and_wide()
    by_hand = 0.0
    for pair in zip(student, teacher, strict=True):
        rows = [[sum(c.abs() ** power for c in sample).flatten() for sample in side] for side in pair]
        squares = [((s / s.norm() - t / t.norm()) ** 2).mean() for s, t in zip(*rows, strict=True)]
        by_hand += torch.stack(squares).mean()
    assert call(AttentionTransfer(power), student, teacher).item() == pytest.approx(by_hand.item(), rel=1e-12)


def test_nst_is_the_squared_discrepancy_of_all_pairs_of_channels():
    student, teacher = maps(0, (2, 3, 4, 4), (2, 8, 2, 2)), maps(1, (2, 5, 4, 4), (2, 9, 2, 2))
    by_hand = 0.0
    for own, theirs in zip(student, teacher, strict=True):
        for s, t in zip(own.flatten(2), theirs.flatten(2), strict=True):
            by_hand += (mean_kernel(s, s) + mean_kernel(t, t) - 2 * mean_kernel(s, t)) / len(own)
    value = call(NeuronSelectivityTransfer(), student, teacher)
    assert value.item() == pytest.approx(by_hand.item(), rel=1e-12)


def mean_kernel(some, others):
    """k(x, y) = (x · y)² of points on the sphere."""
    return torch.stack([(x @ y / x.norm() / y.norm()) ** 2 for x, y in product(some, others)]).mean()


def test_nst_is_the_same_by_products_of_channels_and_of_positions():
    student, teacher = maps(0, (3, 4, 9), (3, 6, 9))
    student = student.requires_grad_()
    one, other = between_channels(student, teacher), between_positions(student, teacher)
    torch.testing.assert_close(one, other, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(value, student)[0] for value in (one, other)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-14)


def test_vid_is_the_negative_log_likelihood_of_the_teachers_features_without_its_constant():
    student, teacher = narrow_and_wide()
    loss = made(VariationalInformation, student, teacher)
    by_hand = 0.0
    for predict, own, theirs in zip(loss.predictions, student, teacher, strict=True):
        nn.init.normal_(predict.rho)
        spread = (predict.rho.exp().log1p() + 1e-5).sqrt()[:, None, None]
        normal = torch.distributions.Normal(predict.mean(own), spread.expand_as(theirs))
        by_hand -= normal.log_prob(theirs).mean() + math.log(2 * math.pi) / 2
    assert call(loss, student, teacher).item() == pytest.approx(by_hand.item(), rel=1e-9)


@pytest.mark.parametrize("variance", [1e-3, 5.0, 1e3])
def test_vid_starts_with_the_given_variance_and_costs_half_its_log_where_it_predicts_rightly(variance):
    student, teacher = narrow_and_wide()
    loss = made(VariationalInformation, student, teacher, variance=variance)
    exact = [predict.mean(own).detach() for predict, own in zip(loss.predictions, student, strict=True)]
    least = 3 * math.log(variance) / 2
    assert call(loss, student, exact).item() == pytest.approx(least, rel=1e-4)


def test_fitnets_looks_at_the_middle_pair_or_at_all():
    student, teacher = narrow_and_wide()
    for hints, looked_at in (("middle", [1]), ("all", [0, 1, 2])):
        loss, leaves = made(FitNets, student, teacher, hints=hints), [m.clone() for m in student]
        leaves = [m.requires_grad_() for m in leaves]
        value = call(loss, leaves, teacher)
        value.backward()
        assert [n for n, m in enumerate(leaves) if m.grad is not None] == looked_at
        by_hand = sum(
            F.mse_loss(connect(student[n]), teacher[n])
            for connect, n in zip(loss.connectors, looked_at, strict=True)
        )
        torch.testing.assert_close(value, by_hand)


@pytest.mark.parametrize("name", OF_POSITIONS)
def test_a_student_equal_to_its_teacher_costs_nothing(name):
    features = [m.requires_grad_() for m in narrow_and_wide()[0]]
    value = call(LOSSES[name](), features, [m.detach() for m in features])
    gradients = torch.autograd.grad(value, features)
    assert value.item() == pytest.approx(0, abs=1e-14)
    assert max(gradient.abs().max() for gradient in gradients) < 1e-12


@pytest.mark.parametrize("name", OF_POSITIONS)
def test_how_strong_a_sample_is_and_which_channel_is_which_makes_no_difference(name):
    student, teacher = narrow_and_wide()
    strength, order = torch.tensor([0.1, 1.0, 7.0, 3.0]).double()[:, None, None, None], [2, 0, 3, 1]
    other = [(strength * m)[:, [*order, *range(4, m.shape[1])]] for m in student]
    loss = LOSSES[name]()
    torch.testing.assert_close(call(loss, other, teacher), call(loss, student, teacher), rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", OF_POSITIONS)
@pytest.mark.parametrize("positions", [2, 8], ids=["few positions", "many positions"])
def test_what_is_active_nowhere_has_a_gradient_of_zero(name, positions):
    student, teacher = maps(0, (2, 3, positions, positions)), maps(1, (2, 5, positions, positions))
    student[0][0] = 0
    student[0].requires_grad_()
    call(LOSSES[name](), student, teacher).backward()
    assert student[0].grad.isfinite().all()
    assert student[0].grad[0].abs().max() == 0 < student[0].grad[1].abs().max()


@of_each
def test_the_order_of_samples_makes_no_difference(loss):
    student, teacher = narrow_and_wide()
    loss, order = made(loss, student, teacher), torch.tensor([2, 0, 3, 1])
    shuffled = call(loss, [m[order] for m in student], [m[order] for m in teacher])
    torch.testing.assert_close(shuffled, call(loss, student, teacher), rtol=1e-12, atol=0)


@of_each
def test_neither_labels_nor_the_temperature_matter(loss):
    student, teacher = narrow_and_wide()
    loss = made(loss, student, teacher)
    sides = [Outputs(None, features=tuple(features)) for features in (student, teacher)]
    other = loss(*sides, torch.full((4,), -1), torch.full((4, 1), 9.0))
    assert torch.equal(call(loss, student, teacher), other)


@of_each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    student, teacher = ([m.to(dtype) for m in side] for side in narrow_and_wide())
    loss = made(loss, student, teacher, double=False)
    value = call(loss, student, teacher)
    assert value.dtype == torch.float32
    assert torch.equal(value, call(loss, [m.float() for m in student], [m.float() for m in teacher]))


@of_each
def test_the_gradient_is_that_of_the_value(loss):
    student, teacher = maps(0, (2, 2, 4, 4), (2, 3, 3, 3)), maps(1, (2, 3, 4, 4), (2, 4, 2, 2))
    loss = made(loss, student, teacher)
    student = [m.requires_grad_() for m in student]
    assert torch.autograd.gradcheck(lambda *own: call(loss, own, teacher), student)


@of_each
def test_large_features_stay_finite(loss):
    student, teacher = ([1e4 * m.float() for m in side] for side in narrow_and_wide())
    student = [m.requires_grad_() for m in student]
    value = call(made(loss, student, teacher, double=False), student, teacher)
    value.backward()
    assert value.isfinite() and all(m.grad.isfinite().all() for m in student if m.grad is not None)


@of_each
def test_a_batch_of_one_has_a_value_and_a_gradient(loss):
    student, teacher = ([m[:1] for m in side] for side in narrow_and_wide())
    student = [m.requires_grad_() for m in student]
    value = call(made(loss, student, teacher), student, teacher)
    value.backward()
    assert value.isfinite() and student[1].grad.abs().max() > 0


@of_each
def test_tokens_are_compared_with_tokens_and_with_maps(loss):
    student = [m.requires_grad_() for m in maps(0, (3, 17, 4), (3, 17, 4), (3, 17, 4))]
    teacher = maps(1, (3, 17, 6), (3, 5, 8, 8), (3, 50, 7))
    value = call(made(loss, student, teacher), student, teacher)
    value.backward()
    assert value.isfinite() and student[1].grad.abs().max() > 0


@pytest.mark.parametrize("name", WITH_PARTS)
def test_units_are_compared_with_units(name):
    student, teacher = maps(0, (4, 6), (4, 5)), maps(1, (4, 7), (4, 8))
    student = [m.requires_grad_() for m in student]
    call(made(LOSSES[name], student, teacher), student, teacher).backward()
    assert student[1].grad.abs().max() > 0


@pytest.mark.parametrize("name", OF_POSITIONS)
def test_units_are_refused_before_training_where_positions_are_compared(name):
    rows = maps(0, (4, 6))
    with pytest.raises(ConfigError, match=f"loss={name} compares positions .*units .*loss=fitnets"):
        made(LOSSES[name], rows, rows)


@of_each
def test_units_against_maps_are_refused_before_training(loss):
    with pytest.raises(ConfigError, match=r"in pair 1 the student has units .*the teacher maps"):
        made(loss, maps(0, (4, 6)), maps(1, (4, 6, 4, 4)))


@of_each
def test_maps_need_not_be_square(loss):
    student, teacher = maps(0, (3, 4, 8, 6), (3, 6, 5, 3)), maps(1, (3, 6, 4, 9), (3, 8, 4, 4))
    student = [m.requires_grad_() for m in student]
    value = call(made(loss, student, teacher), student, teacher)
    value.backward()
    assert value.isfinite() and student[1].grad.abs().max() > 0


@of_each
def test_no_tensor_is_kept_that_is_larger_than_the_maps(loss):
    shapes = (4, 24, 8, 8), (4, 64, 4, 4), (4, 96, 2, 2)
    student, teacher, kept = maps(0, *shapes), maps(1, *shapes), []
    loss = made(loss, student, teacher)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        call(loss, [m.requires_grad_() for m in student], teacher)
    assert max(kept) <= max(m.numel() for m in teacher) + 96**2  # a weight of a connector


@pytest.mark.parametrize("name", WITH_PARTS)
def test_every_part_gets_a_gradient_and_learns(name):
    student, teacher = narrow_and_wide()
    loss = made(LOSSES[name], student, teacher)
    optimizer, values = torch.optim.Adam(loss.parameters(), lr=0.05), []
    for _ in range(40):
        optimizer.zero_grad()
        values.append(call(loss, student, teacher))
        values[-1].backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())
        optimizer.step()
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize("name", WITH_PARTS)
def test_what_is_saved_gives_the_same_value_bit_for_bit(name):
    student, teacher = narrow_and_wide()
    trained, resumed = (fitted(LOSSES[name](), student, teacher, seed=seed) for seed in (0, 1))
    assert not torch.equal(call(resumed, student, teacher), call(trained, student, teacher))
    resumed.load_state_dict(trained.state_dict())
    for loss in (trained, resumed):
        loss.eval()
    assert torch.equal(call(resumed, student, teacher), call(trained, student, teacher))


@pytest.mark.parametrize("name", OF_POSITIONS)
def test_without_parts_there_is_nothing_to_train_or_to_save(name):
    assert not isinstance(LOSSES[name](), nn.Module)


@pytest.mark.parametrize("name", LOSSES)
def test_its_yaml_makes_it(name):
    term = LossTerm.of(OmegaConf.to_container(OmegaConf.load(config_dir() / f"loss/{name}.yaml")), "loss")
    assert type(instantiate(term.spec)) is LOSSES[name]
    assert (term.needs, term.layers, term.preactivation) == ("features", None, False)
    assert (term.weight, term.hard_weight) == (WEIGHTS[name], 1.0)


@pytest.mark.parametrize(
    ("loss", "wrong"),
    [
        (FitNets, {"hints": "last"}),
        (AttentionTransfer, {"power": 0.5}),
        (VariationalInformation, {"variance": 0}),
    ],
)
def test_impossible_arguments_are_refused(loss, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}=.*: must be"):
        loss(**wrong)
