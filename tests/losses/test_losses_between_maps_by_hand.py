"""FSP, activation boundaries, OFD, factor transfer and ReviewKD against published values and slow formulas."""

from itertools import pairwise, product

import pytest
import torch
from made_maps import call, fitted, maps, narrow_and_wide
from reference import golden_input, published
from torch.nn import functional as F

from distill_cli.errors import ConfigError
from distill_cli.losses.activation_boundaries import ActivationBoundaries, boundary_loss
from distill_cli.losses.factor_transfer import FactorTransfer, factor_loss
from distill_cli.losses.fsp import FlowOfSolution
from distill_cli.losses.hierarchical_context import hierarchical_context
from distill_cli.losses.ofd import OverhauledDistillation, partial_l2
from distill_cli.losses.reviewkd import KnowledgeReview


def golden_maps(whose):
    return [golden_input(f"{whose}_feature_{size}") for size in ("8x8", "4x4")]


def summed_context(student, teacher):
    return sum(hierarchical_context(*pair) for pair in zip(student, teacher, strict=True))


def flow_loss(student, teacher):
    return call(fitted(FlowOfSolution(), student, teacher), student, teacher)


@pytest.mark.parametrize(
    ("name", "loss"),
    [("fsp", flow_loss), ("hierarchical_context", summed_context)],
    ids=["fsp", "hierarchical_context"],
)
def test_the_published_value_and_gradients_come_out(name, loss):
    (entry,) = published(name)
    student = [m.requires_grad_() for m in golden_maps("student")]
    value = loss(student, golden_maps("teacher"))
    gradients = torch.autograd.grad(value, student)
    assert value.item() == pytest.approx(entry["value"], rel=1e-9)
    assert [g.norm().item() for g in gradients] == pytest.approx(entry["grad_norm"], rel=1e-9)


def test_fsp_sums_over_neighbours_whichever_of_them_is_larger():
    shapes = (3, 2, 4, 4), (3, 3, 8, 8), (3, 4, 8, 8)
    student, teacher = maps(0, *shapes), maps(1, *shapes)
    by_hand = 0.0
    for layers in pairwise(zip(student, teacher, strict=True)):
        (s1, t1), (s2, t2) = layers
        side = min(s1.shape[-1], s2.shape[-1])
        s1, t1, s2, t2 = (block_means(m, side) for m in (s1, t1, s2, t2))
        squares = [
            ((s1[n, i] * s2[n, j]).mean() - (t1[n, i] * t2[n, j]).mean()) ** 2
            for n, i, j in product(range(3), range(s1.shape[1]), range(s2.shape[1]))
        ]
        by_hand += torch.stack(squares).mean()
    assert flow_loss(student, teacher).item() == pytest.approx(by_hand.item(), rel=1e-12)


def block_means(m, side):
    block = m.shape[-1] // side
    return m.unflatten(-1, (side, block)).unflatten(-3, (side, block)).mean(dim=(-3, -1))


def test_fsp_between_equal_channels_has_nothing_to_train_and_an_equal_student_costs_nothing():
    student = [m.requires_grad_() for m in maps(0, (3, 2, 4, 4), (3, 3, 2, 2))]
    made = fitted(FlowOfSolution(), student, student)
    assert not list(made.parameters())
    value = call(made, student, [m.detach() for m in student])
    assert value.item() == 0
    assert all(g.abs().max() == 0 for g in torch.autograd.grad(value, student))


def test_fsp_with_a_single_layer_says_how_to_name_two():
    single = maps(0, (2, 3, 4, 4))
    with pytest.raises(ConfigError, match=r"and has 1; name 2 pairs or more: loss.layers="):
        fitted(FlowOfSolution(), single, single)


def test_activation_boundaries_are_the_papers_sum_with_half_the_weight_for_each_layer_before():
    shapes = (3, 2, 4, 4), (3, 3, 2, 2)
    student, teacher, margin = maps(0, *shapes), maps(1, *shapes), 0.7
    by_hand = 0.0
    for weight, s, t in zip((0.5, 1.0), student, teacher, strict=True):
        for own, theirs in zip(s.flatten().tolist(), t.flatten().tolist(), strict=True):
            if theirs > 0:
                by_hand += weight * (own - margin) ** 2 / 3 if own < margin else 0.0
            else:
                by_hand += weight * (own + margin) ** 2 / 3 if own > -margin else 0.0
    made = fitted(ActivationBoundaries(margin), student, teacher)
    assert call(made, student, teacher).item() == pytest.approx(by_hand, rel=1e-12)


def test_activation_boundaries_cost_nothing_beyond_the_margin_on_the_teachers_side():
    (teacher,) = maps(0, (3, 2, 4, 4))
    student = (teacher.sign() * (1 + teacher.abs())).requires_grad_()
    value = boundary_loss(student, teacher, margin=1.0)
    assert value.item() == 0
    assert torch.autograd.grad(value, student)[0].abs().max() == 0
    assert boundary_loss(-student, teacher, margin=1.0) > 0


def test_activation_boundaries_work_between_units_and_between_tokens():
    student, teacher = maps(0, (4, 6), (4, 9, 5)), maps(1, (4, 8), (4, 9, 7))
    made = fitted(ActivationBoundaries(), student, teacher)
    assert call(made, student, teacher).isfinite()


def test_ofd_is_the_papers_partial_l2_to_the_margin_of_all_batches_so_far():
    shapes = (3, 2, 4, 4), (3, 3, 2, 2)
    made = fitted(OverhauledDistillation(), maps(0, *shapes), maps(1, *shapes))
    seen = maps(2, *shapes), maps(3, *shapes)
    student = maps(4, *shapes)
    call(made, student, seen[0])
    value = call(made, student, seen[1])
    by_hand = 0.0
    for weight, connect, s, *batches in zip((0.5, 1.0), made.connectors, student, *seen, strict=True):
        channels = torch.cat(batches).transpose(0, 1).flatten(1)
        margins = [channel[channel < 0].mean().item() for channel in channels]
        own, theirs = connect(s), batches[-1]
        for n, c, y, x in product(*map(range, own.shape)):
            unit, target = own[n, c, y, x].item(), max(theirs[n, c, y, x].item(), margins[c])
            if unit > target or target > 0:
                by_hand += weight * (unit - target) ** 2 / 3
    assert value.item() == pytest.approx(by_hand, rel=1e-12)


def test_ofd_learns_no_margin_outside_of_training_nor_from_the_fit():
    student, teacher = narrow_and_wide()
    made = fitted(OverhauledDistillation(), student, teacher).eval()
    call(made, student, teacher)
    assert all(margin.count.sum() == 0 for margin in made.margins)


def test_ofd_costs_nothing_where_both_are_equal_or_below_the_margin():
    (teacher,) = maps(0, (3, 2, 4, 4))
    margin = torch.full((2, 1, 1), -0.5, dtype=torch.float64)
    student = torch.where(teacher > -0.5, teacher, teacher - 1).requires_grad_()
    value = partial_l2(student, teacher, margin)
    assert value.item() == 0
    assert torch.autograd.grad(value, student)[0].abs().max() == 0
    assert partial_l2(student + 1, teacher, margin) > 0


def test_a_channel_that_is_never_negative_has_margin_zero():
    student, teacher = maps(0, (3, 2, 4, 4)), [m.abs() for m in maps(1, (3, 2, 4, 4))]
    made = fitted(OverhauledDistillation(), student, teacher)
    assert call(made, student, teacher).isfinite()
    assert made.margins[0](teacher[0]).abs().max() == 0


def test_factors_are_compared_as_directions():
    student, teacher = maps(0, (3, 2, 4, 4), (3, 2, 4, 4))
    by_hand = [
        (s / s.square().sum().sqrt() - t / t.square().sum().sqrt()).abs().mean()
        for s, t in zip(student, teacher, strict=True)
    ]
    assert factor_loss(student, teacher).item() == pytest.approx(
        torch.stack(by_hand).mean().item(), rel=1e-12
    )
    assert factor_loss(5 * teacher, teacher).item() == pytest.approx(0, abs=1e-15)


def test_factor_transfer_adds_the_error_of_reconstruction_and_takes_the_last_pair_or_all():
    student, teacher = narrow_and_wide()
    for pairs, first in (("all", 0), ("last", 2)):
        made = fitted(FactorTransfer(rate=0.5, reconstruction=0.1, pairs=pairs), student, teacher)
        by_hand = 0.0
        for part, s, t in zip(made.paraphrases, student[first:], teacher[first:], strict=True):
            factors = part.paraphraser(t)
            assert factors.shape[1] == t.shape[1] // 2
            error = (part.decoder(factors) - t).square().mean() / t.square().mean()
            by_hand += factor_loss(part.translator(s), factors) + 0.1 * error
        assert call(made, student, teacher).item() == pytest.approx(by_hand.item(), rel=1e-12)


def test_the_student_does_not_shape_the_factors_it_is_held_to():
    student, teacher = narrow_and_wide()
    made = fitted(FactorTransfer(), student, teacher)
    (part,) = made.paraphrases
    own = list(part.paraphraser.parameters())
    error = part(student[-1], teacher[-1])[1]
    alone = torch.autograd.grad(made.reconstruction * error, own)
    together = torch.autograd.grad(call(made, student, teacher), own)
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


def test_the_paraphraser_learns_to_make_the_maps_again_at_the_weight_and_rate_of_a_training():
    student, (seen, mixture) = maps(0, (32, 4, 4, 4)), maps(1, (32, 2, 4, 4), (8, 2, 1, 1))
    teacher = [F.conv2d(seen, mixture).relu()]  # 8 channels of 2 causes
    made = fitted(FactorTransfer(), student, teacher)
    (part,) = made.paraphrases
    optimizer = torch.optim.SGD(made.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    errors = []
    for _ in range(100):
        optimizer.zero_grad()
        (500 * call(made, student, teacher)).backward()
        optimizer.step()
        errors.append(part(student[0], teacher[0])[1].item())
    assert errors[-1] < 0.5 * errors[0]


def test_factor_transfer_from_maps_that_are_empty_is_finite():
    student, teacher = maps(0, (2, 4, 4, 4)), [torch.zeros(2, 8, 4, 4, dtype=torch.float64)]
    made = fitted(FactorTransfer(), student, teacher)
    value = call(made, student, teacher)
    value.backward()
    assert value.isfinite() and all(p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"rate": 0.0}, "rate=0.0"),
        ({"rate": 2}, "rate=2"),
        ({"pairs": "first"}, "pairs=first: must be last or all"),
    ],
)
def test_factor_transfer_refuses_what_makes_no_factors(settings, wrong):
    with pytest.raises(ValueError, match=wrong):
        FactorTransfer(**settings)


def test_hierarchical_context_averages_both_at_each_scale_that_is_smaller():
    for side, weights in ((8, {8: 1, 4: 1 / 2, 2: 1 / 4, 1: 1 / 8}), (2, {2: 1, 1: 1 / 2}), (1, {1: 1})):
        student, teacher = maps(0, (3, 2, side, side), (3, 2, side, side))
        by_hand = sum(
            weight * (block_means(student, scale) - block_means(teacher, scale)).square().mean()
            for scale, weight in weights.items()
        ) / sum(weights.values())
        assert hierarchical_context(student, teacher).item() == pytest.approx(by_hand.item(), rel=1e-12)


def test_hierarchical_context_of_equal_maps_is_zero_with_gradient_zero():
    (student,) = maps(0, (3, 2, 8, 8))
    value = hierarchical_context(student.requires_grad_(), student.detach())
    assert value.item() == 0
    assert torch.autograd.grad(value, student)[0].abs().max() == 0


def test_reviewkd_fuses_as_the_paper_says_with_the_attention_of_both_maps_joined():
    student, teacher = narrow_and_wide()
    made = fitted(KnowledgeReview(most_channels=5), student, teacher)
    by_hand, deeper = 0.0, None
    for fusion, s, t in reversed(list(zip(made.fusions, student, teacher, strict=True))):
        fused = fusion.own(s)
        assert fused.shape[1] == 5
        if deeper is not None:
            deeper = deeper.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            of_own, of_deeper = fusion.attention.of_own, fusion.attention.of_deeper
            weight = torch.cat([of_own.weight, of_deeper.weight], dim=1)
            scores = F.conv2d(torch.cat([fused, deeper], dim=1), weight, of_own.bias).sigmoid()
            fused = scores[:, :1] * fused + scores[:, 1:] * deeper
        deeper = fused
        by_hand += hierarchical_context(fusion.norm(fusion.widen(fused)), t)
    assert call(made, student, teacher).item() == pytest.approx(by_hand.item(), rel=1e-12)


def test_reviewkd_takes_a_single_layer_and_a_deepest_map_of_one_pixel():
    for shapes in ([(1, 3, 4, 4)], [(1, 3, 4, 4), (1, 5, 1, 1)]):
        student, teacher = maps(0, *shapes), maps(1, *shapes)
        assert call(fitted(KnowledgeReview(), student, teacher), student, teacher).isfinite()


def test_reviewkd_lets_a_layer_of_the_teacher_teach_deeper_layers_of_the_student_and_none_before():
    student, teacher = narrow_and_wide()
    student = [m.requires_grad_() for m in student]
    made = fitted(KnowledgeReview(), student, teacher)

    def gradients(teacher):
        return torch.autograd.grad(call(made, student, teacher), student)

    usual = gradients(teacher)
    of_first = gradients([-teacher[0], *teacher[1:]])
    of_last = gradients([*teacher[:2], -teacher[2]])
    assert not torch.allclose(usual[2], of_first[2])
    assert torch.equal(usual[0], of_last[0])
