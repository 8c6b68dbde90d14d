"""Several teachers as one: what is averaged, with which weights, and that no row's bits depend on another's."""

import numpy as np
import pytest
import torch

from distill_cli.errors import ConfigError
from distill_cli.losses.averaging import Average
from distill_cli.losses.outputs import Outputs, TopLogits
from distill_cli.training.teacher_sources import Ensemble

THREE = (0.5, 0.3, 0.2)


def members(count: int = 3, batch: int = 7, classes: int = 5, dtype=torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    return [3 * torch.randn(batch, classes, generator=generator, dtype=dtype) for _ in range(count)]


def probabilities(logits: torch.Tensor) -> np.ndarray:
    powers = np.exp(logits.double().numpy())
    return powers / powers.sum(axis=1, keepdims=True)


def test_logits_are_averaged_by_weight():
    found = Average("logits", THREE).logits(members())
    expected = sum(w * z.numpy() for w, z in zip(THREE, members(), strict=True))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_probabilities_are_averaged_by_weight():
    found = Average("probabilities", THREE).logits(members())
    expected = sum(w * probabilities(z) for w, z in zip(THREE, members(), strict=True))
    np.testing.assert_allclose(found.exp().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_teachers_that_agree_are_one_teacher(of):
    (logits,) = members(1)
    found = Average(of, THREE).logits([logits] * 3)
    np.testing.assert_allclose(probabilities(found), probabilities(logits), rtol=1e-12)


@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_the_order_of_the_teachers_is_of_no_importance(of):
    forth = Average(of, THREE).logits(members())
    back = Average(of, THREE[::-1]).logits(members()[::-1])
    torch.testing.assert_close(forth, back, rtol=1e-12, atol=1e-12)


def test_the_mean_of_logits_is_the_geometric_mean_of_probabilities():
    found = probabilities(Average("logits", (0.5, 0.5)).logits(members(2)))
    one, other = map(probabilities, members(2))
    expected = np.sqrt(one * other)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_a_weight_of_zero_leaves_a_teacher_out_whatever_it_says(of):
    first, second, _ = members()
    wild = torch.full_like(first, float("inf"))
    found = Average(of, (0.6, 0.4, 0.0)).logits([first, second, wild])
    assert torch.equal(found, Average(of, (0.6, 0.4)).logits([first, second]))


@pytest.mark.parametrize("count", [2, 5, 9])
def test_the_mean_of_logits_has_the_same_bits_in_a_batch_of_any_size(count):
    average = Average("logits", (1 / count,) * count)
    each = members(count, batch=130, classes=37, dtype=torch.float32)
    whole = average.logits(each)
    for start, stop in ((0, 1), (1, 64), (64, 67), (67, 130)):
        assert torch.equal(average.logits([logits[start:stop] for logits in each]), whole[start:stop])


@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_logits_of_ten_thousand_stay_finite(of):
    each = [torch.tensor([[1e4, -1e4, 0.0]]), torch.tensor([[-1e4, 1e4, 0.0]])]
    assert Average(of, (0.5, 0.5)).logits(each).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_half_precision_is_averaged_in_float32(of, dtype):
    half = [logits.to(dtype) for logits in members(2)]
    found = Average(of, (0.5, 0.5)).logits(half)
    assert found.dtype == torch.float32
    assert torch.equal(found, Average(of, (0.5, 0.5)).logits([logits.float() for logits in half]))


class Said:
    """A source that knows what it says beforehand, as a cache does."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.outputs = Outputs(logits)

    def ahead(self, stretch) -> Outputs:
        return self.outputs

    def __call__(self, batch) -> Outputs:
        return self.outputs


@pytest.mark.parametrize(("of", "is_known"), [("logits", True), ("probabilities", False)])
def test_only_what_keeps_its_bits_is_averaged_for_several_batches_at_once(of, is_known):
    ensemble = Ensemble(tuple(map(Said, members(2))), Average(of, (0.5, 0.5)))
    found = ensemble.ahead(None)
    assert (found is not None) == is_known
    assert found is None or torch.equal(found.logits, ensemble(None).logits)


def test_a_part_of_the_logits_cannot_be_averaged():
    top = TopLogits(torch.zeros(2, 1, dtype=torch.long), torch.ones(2, 1), tail=None)
    with pytest.raises(ConfigError, match="top_k"):
        Average("logits", (0.5, 0.5))([Outputs(None, top), Outputs(torch.zeros(2, 3))])
