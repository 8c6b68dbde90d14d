from __future__ import annotations

import pytest
import torch
from torch import nn

from distill_cli.models.cifar_resnet import CifarResNet
from distill_cli.models.cost import count_macs, count_parameters

NARROW, WIDE = (16, 16, 32, 64), (32, 64, 128, 256)
PUBLISHED = [  # depth, widths, parameters, million multiply-adds: 100 classes, 3x32x32 (RepDistiller)
    (8, NARROW, 83_892, 12.5),
    (14, NARROW, 181_108, 26.7),
    (20, NARROW, 278_324, 40.8),
    (32, NARROW, 472_756, 69.1),
    (44, NARROW, 667_188, 97.4),
    (56, NARROW, 861_620, 125.8),
    (110, NARROW, 1_736_564, 253.2),
    (8, WIDE, 1_233_540, 177.1),
    (32, WIDE, 7_433_860, 1083.0),
]


@pytest.mark.parametrize(("depth", "widths", "parameters", "mega_macs"), PUBLISHED)
def test_parameters_and_multiply_adds_are_those_published(
    depth: int, widths: tuple[int, ...], parameters: int, mega_macs: float
) -> None:
    model = CifarResNet(num_classes=100, in_channels=3, depth=depth, widths=widths)
    assert count_parameters(model) == parameters
    assert round(count_macs(model, (3, 32, 32)) / 1e6, 1) == mega_macs


def test_stages_hand_on_pictures_of_32_16_and_8_pixels() -> None:
    model = CifarResNet(num_classes=100, in_channels=3, depth=8)
    shapes = []
    for name in ("layer1", "layer2", "layer3"):
        model.get_submodule(name).register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape)))
    model(torch.rand(2, 3, 32, 32))
    assert shapes == [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 8, 8), (3, 33, 17)])
def test_pictures_of_other_sizes_are_fine(shape: tuple[int, int, int]) -> None:
    model = CifarResNet(num_classes=10, in_channels=shape[0], depth=8)
    assert model(torch.rand(2, *shape)).shape == (2, 10)


def test_names_are_those_of_the_published_checkpoints() -> None:
    names = set(CifarResNet(num_classes=100, in_channels=3, depth=8, widths=WIDE).state_dict())
    convolutions = {"conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight"}
    assert names >= convolutions | {"bn1.running_mean", "layer1.0.downsample.0.weight", "fc.bias"}


def test_the_shortcut_is_projected_only_where_size_or_width_changes() -> None:
    names = set(CifarResNet(num_classes=100, in_channels=3, depth=14).state_dict())
    projections = {name for name in names if name.endswith("downsample.0.weight")}
    assert projections == {"layer2.0.downsample.0.weight", "layer3.0.downsample.0.weight"}


def test_convolutions_start_with_the_variance_of_he_by_fan_out() -> None:
    torch.manual_seed(0)
    model = CifarResNet(num_classes=100, in_channels=3, depth=8, widths=WIDE)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


@pytest.mark.parametrize("depth", [0, 2, 9, 18])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="6n"):
        CifarResNet(num_classes=100, in_channels=3, depth=depth)


def test_widths_are_the_stem_and_three_stages() -> None:
    with pytest.raises(ValueError, match="four numbers"):
        CifarResNet(num_classes=100, in_channels=3, depth=8, widths=(16, 32, 64))
