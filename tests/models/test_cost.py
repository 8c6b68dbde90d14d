from __future__ import annotations

import torch
from torch import nn
from torchvision.models import VisionTransformer

from distill_cli.models.cost import count_macs, count_parameters


def test_a_convolution_costs_one_multiply_add_per_weight_and_place() -> None:
    assert count_macs(nn.Conv2d(3, 7, 3, padding=1), (3, 10, 12)) == 3 * 7 * 9 * 10 * 12


def test_tied_parameters_count_once_and_frozen_ones_too() -> None:
    layer = nn.Linear(4, 4).requires_grad_(False)
    assert count_parameters(nn.Sequential(layer, layer)) == 20


def test_counting_leaves_modes_gradients_and_statistics_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_macs(model, (3, 8, 8))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_attention_is_counted_whether_or_not_the_weights_are_frozen() -> None:
    model = VisionTransformer(
        image_size=32, patch_size=8, num_layers=1, num_heads=4, hidden_dim=64, mlp_dim=128
    )
    tokens, width = 17, 64
    attention = 4 * tokens * width * width + 2 * tokens * tokens * width
    dense = 2 * tokens * width * 128 + width * 1000
    patches = 16 * 64 * 3 * 8 * 8
    assert count_macs(model, (3, 32, 32)) == attention + dense + patches
    assert count_macs(model.requires_grad_(False), (3, 32, 32)) == attention + dense + patches


def test_a_network_that_works_in_place_on_its_input_is_counted():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 10))
    assert count_macs(model, (1, 8, 8)) == 640
