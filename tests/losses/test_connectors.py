"""Features of different kinds, sizes and channels are made comparable."""

import pytest
import torch
from made_maps import maps
from torch import nn
from torch.nn import functional as F

from distill_cli.errors import ConfigError
from distill_cli.losses.connectors import (
    Connector,
    as_maps,
    connectors_of,
    map_pairs,
    maps_of_one_size,
    resized,
    same_size,
)
from distill_cli.losses.outputs import Outputs


def test_maps_stay_as_they_are_and_units_are_maps_of_one_pixel():
    student, teacher, row = maps(0, (2, 3, 8, 8), (2, 5, 4, 4), (2, 7))
    assert all(one is other for one, other in zip(as_maps(student, teacher), (student, teacher), strict=True))
    assert torch.equal(as_maps(row, row)[0], row[:, :, None, None])
    pooled = maps(1, (2, 5, 1, 1))[0]
    assert as_maps(row, pooled)[1] is pooled


def test_tokens_of_one_number_are_a_column():
    student, teacher = maps(0, (2, 10, 3), (2, 10, 5))
    own, theirs = as_maps(student, teacher)
    assert (own.shape, theirs.shape) == ((2, 3, 10, 1), (2, 5, 10, 1))
    assert torch.equal(own[1, :, 7, 0], student[1, 7])


@pytest.mark.parametrize("in_front", [0, 1, 2, 5])
def test_tokens_against_maps_fold_into_rows_of_the_picture_without_those_in_front(in_front):
    tokens, picture = maps(0, (2, in_front + 36, 3), (2, 5, 4, 4))
    for folded in (as_maps(tokens, picture)[0], as_maps(picture, tokens)[1]):
        assert folded.shape == (2, 3, 6, 6)
        assert torch.equal(folded[1, :, 2, 5], tokens[1, in_front + 2 * 6 + 5])


def test_tokens_of_another_number_fold_on_both_sides():
    own, theirs = as_maps(*maps(0, (2, 17, 3), (2, 50, 5)))
    assert (own.shape, theirs.shape) == ((2, 3, 4, 4), (2, 5, 7, 7))


@pytest.mark.parametrize(
    ("student", "teacher", "said"),
    [
        ((2, 16), (2, 8, 4, 4), r"units \(batch, 16\), the teacher maps \(batch, 8, 4, 4\)"),
        ((2, 8, 4, 4), (2, 16), r"maps \(batch, 8, 4, 4\), the teacher units \(batch, 16\)"),
        ((2, 16), (2, 9, 8), r"units \(batch, 16\), the teacher tokens \(batch, 9, 8\)"),
        ((2, 15, 8), (2, 8, 4, 4), r"tokens \(batch, 15, 8\), the teacher maps"),
        ((2, 16, 8), (2, 15, 8), r"tokens \(batch, 16, 8\), the teacher tokens \(batch, 15, 8\)"),
    ],
)
def test_kinds_that_cannot_be_compared_are_refused_with_what_each_side_has(student, teacher, said):
    fine = torch.rand(2, 3, 4, 4)
    sides = [Outputs(None, features=(fine, torch.rand(*shape))) for shape in (student, teacher)]
    with pytest.raises(ConfigError, match=f"in pair 2 the student has {said}.*loss=kd") as refused:
        map_pairs(*sides)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_goes_up_to_float32(dtype):
    pairs = [(2, 3, 4, 4), (2, 3)]
    features = tuple(torch.rand(*shape).to(dtype) for shape in pairs)
    sides = Outputs(None, features=features), Outputs(None, features=features)
    assert all(one.dtype == other.dtype == torch.float32 for one, other in map_pairs(*sides))


def test_the_larger_maps_are_averaged_to_the_smaller_ones_size():
    large, small = maps(0, (2, 3, 8, 8), (2, 5, 4, 4))
    by_hand = large.reshape(2, 3, 4, 2, 4, 2).mean(dim=(3, 5))
    for pair in (same_size(large, small), reversed(same_size(small, large))):
        averaged, kept = pair
        torch.testing.assert_close(averaged, by_hand, rtol=1e-12, atol=1e-14)
        assert kept is small


def test_each_side_gives_way_where_it_is_the_longer_one():
    own, theirs = same_size(*maps(0, (2, 3, 8, 2), (2, 5, 4, 6)))
    assert own.shape[2:] == theirs.shape[2:] == (4, 2)


def test_maps_shrink_by_averaging_and_grow_by_interpolation():
    (features,) = maps(0, (2, 3, 4, 4))
    assert resized(features, (4, 4)) is features
    torch.testing.assert_close(resized(features, (2, 2)), F.avg_pool2d(features, 2))
    enlarged = F.interpolate(features, (8, 6), mode="bilinear")
    torch.testing.assert_close(resized(features, (8, 6)), enlarged)
    both = F.interpolate(F.adaptive_avg_pool2d(features, (2, 4)), (2, 7), mode="bilinear")
    torch.testing.assert_close(resized(features, (2, 7)), both)


def test_one_position_is_too_few_for_losses_that_compare_positions():
    row, large = torch.rand(2, 6), torch.rand(2, 3, 4, 4)
    sides = Outputs(None, features=(large, row)), Outputs(None, features=(large, row))
    with pytest.raises(ConfigError, match=r"loss=nst compares positions .* in pair 2 .*units \(batch, 6\)"):
        maps_of_one_size(*sides, "nst")


def test_a_connector_of_units_or_tokens_is_a_linear_layer():
    student, teacher = maps(0, (4, 3), (4, 5))
    connector = Connector(3, 5).double()
    linear = nn.Linear(3, 5).double()
    linear.weight.data, linear.bias.data = (
        connector.convolution.weight.data[..., 0, 0],
        connector.convolution.bias.data,
    )
    torch.testing.assert_close(connector(as_maps(student, teacher)[0])[..., 0, 0], linear(student))
    tokens, others = maps(0, (4, 9, 3), (4, 9, 5))
    torch.testing.assert_close(connector(as_maps(tokens, others)[0])[..., 0].mT, linear(tokens))


def test_equal_channels_stay_as_they_are_only_where_that_is_allowed():
    (features,) = maps(0, (2, 3, 4, 4))
    assert Connector(3, 3, identity=True, batch_norm=True)(features) is features
    assert not list(Connector(3, 3, identity=True).parameters())
    assert Connector(3, 3).double()(features) is not features
    assert Connector(3, 5, identity=True).double()(features).shape == (2, 5, 4, 4)


def test_with_batch_norm_the_channels_have_mean_0_and_variance_1():
    (features,) = maps(0, (8, 3, 4, 4))
    connected = Connector(3, 5, batch_norm=True).double()(features)
    torch.testing.assert_close(connected.mean(dim=(0, 2, 3)), torch.zeros(5).double())
    torch.testing.assert_close(
        connected.var(dim=(0, 2, 3), correction=0), torch.ones(5).double(), rtol=1e-3, atol=0
    )


def test_a_single_value_of_a_channel_goes_past_batch_norm():
    (features,) = maps(0, (1, 3, 1, 1))
    connector = Connector(3, 5, batch_norm=True).double()
    assert torch.equal(connector(features), connector.convolution(features))


def test_each_pair_has_a_connector_of_its_own():
    pairs = [tuple(maps(0, (2, 3, 4, 4), (2, 5, 4, 4))), tuple(maps(0, (2, 6, 2, 2), (2, 4, 2, 2)))]
    connectors = connectors_of(pairs).double()
    shapes = [connect(own).shape for connect, (own, _) in zip(connectors, pairs, strict=True)]
    assert shapes == [theirs.shape for _, theirs in pairs]
