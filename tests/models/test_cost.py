from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torchvision.models import VisionTransformer, mobilenet_v2, resnet18

from distill_cli.models.cost import COUNTED, count_macs, count_parameters


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


@pytest.mark.parametrize(
    "model",
    [
        resnet18(),
        mobilenet_v2(),
        nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2, dilation=2, groups=1), nn.ConvTranspose2d(4, 2, 3, stride=2)
        ),
        nn.Sequential(nn.Flatten(2), nn.Linear(1024, 8, bias=False), nn.LSTM(8, 5)),
        nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(1024, 2, 16, batch_first=True)),
    ],
    ids=["resnet18", "mobilenet_v2", "transposed", "lstm", "transformer"],
)
def test_the_figure_is_that_of_torchs_own_counter(model):
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 3, 32, 32, requires_grad=True).clone())
    assert count_macs(model, (3, 32, 32)) == counter.get_total_flops() // 2 > 0


def test_whatever_torchs_counter_knows_is_noticed():
    """Else it would be left out without a word."""
    names = [str(operation).rpartition(".")[2] for operation in flop_registry]
    assert names and all(any(word in name for word in COUNTED) for name in names)
