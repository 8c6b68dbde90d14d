"""FSP, activation boundaries, OFD, factor transfer and ReviewKD: what they have in common."""

import pytest
import torch
from made_maps import call, fitted, maps, narrow_and_wide
from omegaconf import OmegaConf

from distill_cli.config.loss_terms import LossTerm
from distill_cli.config.targets import instantiate
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import config_dir
from distill_cli.losses.activation_boundaries import ActivationBoundaries
from distill_cli.losses.factor_transfer import FactorTransfer
from distill_cli.losses.fsp import FlowOfSolution
from distill_cli.losses.ofd import OverhauledDistillation
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.reviewkd import KnowledgeReview

LOSSES = {
    "fsp": FlowOfSolution,
    "activation_boundaries": ActivationBoundaries,
    "ofd": OverhauledDistillation,
    "factor_transfer": FactorTransfer,
    "reviewkd": KnowledgeReview,
}
of_each = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@of_each
def test_the_order_of_samples_makes_no_difference(loss):
    student, teacher = narrow_and_wide()
    made, order = fitted(loss(), student, teacher), torch.tensor([2, 0, 3, 1])
    shuffled = call(made, [m[order] for m in student], [m[order] for m in teacher])
    torch.testing.assert_close(shuffled, call(made, student, teacher), rtol=1e-12, atol=0)


@of_each
def test_neither_labels_nor_the_temperature_matter(loss):
    student, teacher = narrow_and_wide()
    made = fitted(loss(), student, teacher).eval()
    plain = call(made, student, teacher)
    other = made(
        Outputs(None, features=tuple(student)),
        Outputs(None, features=tuple(teacher)),
        torch.full((4,), -1),
        torch.full((4, 1), 9.0),
    )
    assert torch.equal(plain, other)


@of_each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    student, teacher = ([m.to(dtype) for m in side] for side in narrow_and_wide())
    made = fitted(loss(), student, teacher, double=False).eval()
    value = call(made, student, teacher)
    assert value.dtype == torch.float32
    assert torch.equal(value, call(made, [m.float() for m in student], [m.float() for m in teacher]))


@of_each
def test_the_gradient_is_that_of_the_value(loss):
    student, teacher = maps(0, (2, 2, 5, 5), (2, 3, 3, 3)), maps(1, (2, 3, 5, 5), (2, 4, 3, 3))
    made = fitted(loss(), student, teacher)
    call(made, student, teacher)
    made.eval()
    student = [m.requires_grad_() for m in student]
    assert torch.autograd.gradcheck(lambda *own: call(made, own, teacher), student)


@of_each
def test_large_features_stay_finite(loss):
    student, teacher = ([1e4 * m.float() for m in side] for side in narrow_and_wide())
    student = [m.requires_grad_() for m in student]
    value = call(fitted(loss(), student, teacher, double=False), student, teacher)
    value.backward()
    assert value.isfinite() and all(m.grad.isfinite().all() for m in student if m.grad is not None)


@of_each
def test_a_batch_of_one_has_a_value_and_a_gradient(loss):
    student, teacher = ([m[:1] for m in side] for side in narrow_and_wide())
    student = [m.requires_grad_() for m in student]
    value = call(fitted(loss(), student, teacher), student, teacher)
    value.backward()
    assert value.isfinite() and student[-1].grad.abs().max() > 0


@of_each
def test_every_part_gets_a_gradient_and_the_teacher_is_left_alone(loss):
    student, teacher = narrow_and_wide()
    before = [m.clone() for m in teacher]
    made = fitted(loss(), student, teacher)
    call(made, student, teacher).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())
    assert sum(p.grad.abs().sum() for p in made.parameters()) > 0
    assert all(torch.equal(m, b) for m, b in zip(teacher, before, strict=True))


@of_each
def test_what_is_saved_gives_the_same_value_bit_for_bit(loss):
    student, teacher = narrow_and_wide()
    trained = fitted(loss(), student, teacher, seed=0)
    descend(trained, student, teacher, steps=3)
    resumed = fitted(loss(), student, teacher, seed=1)
    resumed.load_state_dict(trained.state_dict())
    later = maps(5, *(m.shape for m in student)), maps(6, *(m.shape for m in teacher))
    assert torch.equal(call(resumed, *later), call(trained, *later))


@of_each
def test_it_falls_as_the_student_and_its_parts_are_trained(loss):
    student, teacher = narrow_and_wide()
    made = fitted(loss(), student, teacher)
    first = call(made, student, teacher).item()
    assert descend(made, student, teacher, steps=60) < 0.7 * first


@of_each
def test_maps_may_differ_in_size_and_need_not_be_square(loss):
    student = maps(0, (3, 4, 8, 6), (3, 6, 5, 3), (3, 6, 1, 1))
    teacher = maps(1, (3, 6, 4, 9), (3, 8, 4, 4), (3, 8, 1, 1))
    student = [m.requires_grad_() for m in student]
    value = call(fitted(loss(), student, teacher), student, teacher)
    value.backward()
    assert value.isfinite() and student[-1].grad.isfinite().all()


@of_each
def test_no_tensor_is_kept_that_is_much_larger_than_the_maps(loss):
    student, teacher = maps(0, (4, 24, 8, 8), (4, 32, 8, 8)), maps(1, (4, 24, 8, 8), (4, 32, 8, 8))
    made, kept = fitted(loss(), student, teacher), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        call(made, [m.requires_grad_() for m in student], teacher)
    assert max(kept) <= 2 * max(m.numel() for m in teacher)


@pytest.mark.parametrize("shape", [(4, 16), (4, 9, 16)], ids=["units", "tokens"])
@pytest.mark.parametrize("name", ["fsp", "ofd", "factor_transfer", "reviewkd"])
def test_other_features_than_maps_are_refused_in_one_line(name, shape):
    features = maps(0, (4, 3, 8, 8), shape)
    with pytest.raises(ConfigError, match=f"loss={name} needs maps.* pair 2; name layers") as refused:
        fitted(LOSSES[name](), features, features)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", LOSSES)
def test_its_yaml_makes_it(name):
    term = LossTerm.of(OmegaConf.to_container(OmegaConf.load(config_dir() / f"loss/{name}.yaml")), "loss")
    assert type(instantiate(term.spec)) is LOSSES[name]
    assert (term.needs, term.layers, term.hard_weight) == ("features", None, 1.0)
    assert term.weight is not None and term.weight > 0
    assert term.preactivation is (name in ("activation_boundaries", "ofd", "reviewkd"))


def descend(made, student, teacher, steps):
    """Trains the parts and the student's maps; the last value."""
    student = [m.clone().requires_grad_() for m in student]
    optimizer = torch.optim.Adam([*made.parameters(), *student], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        value = call(made, student, teacher)
        value.backward()
        optimizer.step()
    return value.item()
