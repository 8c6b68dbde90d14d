"""Weights are held to a norm after every step, and only those that are longer."""

import pytest
import torch
from torch import nn

from distill_cli.training.max_norm import limit_norms


@pytest.mark.parametrize("layer", [nn.Linear(6, 5), nn.Conv2d(3, 5, 2)], ids=["linear", "conv"])
def test_only_what_is_longer_is_scaled_and_keeps_its_direction(layer):
    with torch.no_grad():
        layer.weight.mul_(torch.tensor([0.01, 0.1, 1, 10, 100]).view(5, *[1] * (layer.weight.ndim - 1)))
    before, bias = layer.weight.detach().clone().flatten(1), layer.bias.detach().clone()
    limit_norms(layer, 0.5)
    after, norms = layer.weight.detach().flatten(1), before.norm(dim=1)
    assert torch.equal(after[norms <= 0.5], before[norms <= 0.5]) and (norms <= 0.5).any()
    torch.testing.assert_close(after[norms > 0.5].norm(dim=1), torch.full((int((norms > 0.5).sum()),), 0.5))
    torch.testing.assert_close(nn.functional.cosine_similarity(before, after), torch.ones(5))
    assert torch.equal(layer.bias.detach(), bias)


def test_frozen_weights_and_zeros_stay():
    layer = nn.Linear(3, 2, bias=False)
    nn.init.constant_(layer.weight, 9.0).requires_grad_(False)
    limit_norms(layer, 1.0)
    assert (layer.weight == 9).all()
    nn.init.zeros_(layer.weight).requires_grad_(True)
    limit_norms(layer, 1.0)
    assert (layer.weight == 0).all()
