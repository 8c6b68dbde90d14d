"""Layers worth comparing, found in networks of all families."""

import pytest
import torch
import torchvision
from omegaconf import OmegaConf
from torch import nn
from torch.nn import functional as F

from distill_cli.config.targets import TARGET
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import config_dir
from distill_cli.models.build import build_model
from distill_cli.models.cifar_resnet import CifarResNet
from distill_cli.models.cnn import Cnn
from distill_cli.models.layers import default_pairs, found_layers, preactivation
from distill_cli.models.mlp import Mlp
from distill_cli.models.taps import Taps

SMALL, LARGE = (3, 32, 32), (3, 64, 64)


def cifar(depth=8):
    return CifarResNet(num_classes=5, in_channels=3, depth=depth)


def cnn(**arguments):
    return Cnn(num_classes=5, in_channels=3, **{"widths": (8, 16, 24), "pool": 2, **arguments})


def mlp(depth=2, **arguments):
    return Mlp(num_classes=5, in_channels=3, image_size=(32, 32), depth=depth, width=12, **arguments)


def torchvisions(name):
    return getattr(torchvision.models, name)(num_classes=5)


def vgg():
    """One row of convolutions, ReLUs in place and pooling, in the manner of torchvision's."""
    first = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    second = [nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(6, 6, 1), nn.ReLU(inplace=True)]
    third = [nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    row = nn.Sequential(*first, *second, *third)
    return nn.Sequential(row, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))


def timms(name, **arguments):
    return pytest.importorskip("timm").create_model(name, num_classes=5, **arguments)


def vit(depth=6):
    return timms("vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=16, depth=depth, num_heads=2)


def torchvision_vit(layers=3):
    return torchvision.models.VisionTransformer(
        image_size=32,
        patch_size=8,
        num_layers=layers,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=16,
        num_classes=5,
    )


SEQUENTIAL = ["stages.0", "stages.2", "stages.4"]
STAGES = ["layer1", "layer2", "layer3"]
MOBILE = ["features.1", "features.3", "features.6", "features.13", "features.18"]
FOUND = {
    "resnet20": (lambda: cifar(20), SMALL, STAGES),
    "cnn": (cnn, SMALL, SEQUENTIAL),
    "cnn_batch_norm": (lambda: cnn(convs_per_stage=2, batch_norm=True, hidden=0), SMALL, SEQUENTIAL),
    "mlp": (mlp, SMALL, ["body.3", "body.6"]),
    "mlp_dropout": (lambda: mlp(dropout=0.5, input_dropout=0.2), SMALL, ["body.3", "body.6"]),
    "resnet18": (lambda: torchvisions("resnet18"), LARGE, [*STAGES, "layer4"]),
    "resnet50": (lambda: torchvisions("resnet50"), LARGE, [*STAGES, "layer4"]),
    "mobilenet_v2": (lambda: torchvisions("mobilenet_v2"), LARGE, MOBILE),
    "vgg": (vgg, SMALL, ["0.1", "0.6", "0.9"]),
    "densenet121": (
        lambda: torchvisions("densenet121"),
        LARGE,
        ["features.denseblock1", "features.denseblock2", "features.denseblock3", "features.denseblock4"],
    ),
    "convnext_tiny": (
        lambda: torchvisions("convnext_tiny"),
        LARGE,
        ["features.1", "features.3", "features.5", "features.7"],
    ),
    "timm_resnet18": (lambda: timms("resnet18"), LARGE, [*STAGES, "layer4"]),
    "timm_vit": (vit, SMALL, ["blocks.0", "blocks.2", "blocks.3", "blocks.5"]),
    "torchvision_vit": (
        torchvision_vit,
        SMALL,
        [f"encoder.layers.encoder_layer_{number}" for number in range(3)],
    ),
}


@pytest.mark.parametrize(("make", "shape", "paths"), FOUND.values(), ids=FOUND)
def test_layers_are_the_stages_blocks_or_hidden_units_of_the_network(make, shape, paths):
    model = make()
    assert [layer.path for layer in found_layers(model, shape)] == paths
    taps = Taps(model.train(), paths)
    model(torch.rand(2, *shape))
    assert len(taps.take()) == len(paths)  # none of them is written over


def test_to_look_for_layers_leaves_the_model_as_it_was():
    model = cifar().train()
    model.layer2.eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found_layers(model, SMALL)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_layers_are_found_in_pictures_that_are_not_square():
    assert [layer.path for layer in found_layers(cifar(), (3, 20, 52))] == STAGES


class InAList(nn.Module):
    """A stem, and blocks in a list, which itself hands on nothing."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
        self.blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()) for _ in range(2))
        self.fc = nn.Linear(4, 5)

    def forward(self, pictures):
        features = self.stem(pictures)
        for block in self.blocks:
            features = block(features)
        return self.fc(features.mean(dim=(2, 3)))


def test_blocks_in_a_list_are_as_far_out_as_what_stands_beside_the_list():
    assert [layer.path for layer in found_layers(InAList(), SMALL)] == ["blocks.1"]


def test_maps_of_one_pixel_count_only_where_there_are_no_others():
    assert [layer.path for layer in found_layers(cnn(pool=8), SMALL)] == ["stages.0", "stages.2"]
    assert [layer.path for layer in found_layers(cnn(), (3, 1, 1))] == ["stages"]


def test_layers_are_paired_from_the_end():
    pairs = default_pairs(cifar(), torchvisions("resnet18"), LARGE)
    assert pairs == (("layer1", "layer2"), ("layer2", "layer3"), ("layer3", "layer4"))
    assert default_pairs(cnn(widths=(8, 16)), cifar(), SMALL) == (
        ("stages.0", "layer2"),
        ("stages.2", "layer3"),
    )


def test_hidden_units_pair_with_hidden_units_and_maps_with_tokens():
    assert default_pairs(mlp(1), mlp(3), SMALL) == (("body.3", "body.9"),)
    assert default_pairs(cifar(), vit(2), SMALL) == (("layer2", "blocks.0"), ("layer3", "blocks.1"))


def test_hidden_units_against_maps_are_refused_with_what_each_side_has():
    for student, teacher in ((mlp(), cifar()), (cifar(), mlp())):
        with pytest.raises(ConfigError, match=r"the student has .*the teacher .*loss=kd") as refused:
            default_pairs(student, teacher, SMALL)
        message = str(refused.value)
        assert "units (batch, 12)" in message and "maps (batch, 64, 8, 8)" in message
        assert "\n" not in message


def test_a_network_without_hidden_layers_is_refused_by_its_role():
    with pytest.raises(ConfigError, match="Mlp, the student, shows none"):
        default_pairs(mlp(0), mlp(), SMALL)
    with pytest.raises(ConfigError, match="Mlp, the teacher, shows none"):
        default_pairs(mlp(), mlp(0), SMALL)


class WritesOver(nn.Module):
    def __init__(self):
        super().__init__()
        blocks = [nn.Sequential(nn.Conv2d(channels, 4, 1), nn.BatchNorm2d(4)) for channels in (3, 4)]
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(4, 5)

    def forward(self, pictures):
        return self.fc(F.relu(self.blocks(pictures), inplace=True).mean(dim=(2, 3)))


def test_a_layer_that_is_written_over_is_passed_by():
    assert [layer.path for layer in found_layers(WritesOver(), SMALL)] == ["blocks.0"]


def test_maps_with_their_channels_last_are_not_taken_for_maps():
    model = timms("swin_tiny_patch4_window7_224", img_size=64, window_size=2, depths=(1, 1, 1, 1))
    with pytest.raises(ConfigError, match="SwinTransformer, the student, shows none"):
        found_layers(model, LARGE)


PREACTIVATIONS = {
    "resnet20": (lambda: cifar(20), "layer2", "layer2.2.relu2:in"),
    "relu": (cifar, "relu", "relu:in"),
    "resnet18": (lambda: torchvisions("resnet18"), "layer2", "layer2.1.relu:in"),
    "timm_resnet18": (lambda: timms("resnet18"), "layer2", "layer2.1.act2:in"),
    "cnn": (lambda: cnn(batch_norm=True), "stages.2", "stages.2.2:in"),
    "mlp": (mlp, "body.3", "body.3:in"),
}


@pytest.mark.parametrize(("make", "path", "expected"), PREACTIVATIONS.values(), ids=PREACTIVATIONS)
def test_what_goes_into_the_last_relu_is_what_the_layer_is_made_of(make, path, expected):
    model = make()
    assert preactivation(model, path, SMALL) == expected
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.ones_(norm.weight)  # timm's blocks begin with 0, and so with nothing but their shortcut
    taps = Taps(model.train(), [expected, path])
    model(torch.rand(2, *SMALL))
    before, after = taps.take()
    assert (before < 0).any() and torch.equal(before.relu(), after)


def test_a_layer_that_ends_in_no_activation_is_tapped_itself():
    assert preactivation(torchvisions("mobilenet_v2"), "features.3", LARGE) == "features.3"
    assert preactivation(cifar(), "layer2.0.bn1", SMALL) == "layer2.0.bn1"
    assert preactivation(vit(), "blocks.1", SMALL) == "blocks.1"


def test_a_tap_of_an_input_is_kept():
    assert preactivation(cifar(), "layer2.0.relu1:in", SMALL) == "layer2.0.relu1:in"


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)

    def forward(self, pictures):
        return F.relu(self.convolution(pictures))


def test_an_activation_that_is_a_function_is_refused():
    model = nn.Sequential(Functional(), nn.Flatten(), nn.LazyLinear(5))
    model(torch.rand(2, *SMALL))
    with pytest.raises(ConfigError, match="layer '0' of Sequential ends in no ReLU of its own"):
        preactivation(model, "0", SMALL)


def test_the_activation_of_a_layer_that_is_not_there_is_refused_with_what_is():
    with pytest.raises(ConfigError, match=r"no layer 'layer4'; did you mean 'layer\d'"):
        preactivation(cifar(), "layer4", SMALL)


@pytest.mark.parametrize("path", sorted((config_dir() / "model").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_network_that_ships_has_layers(path):
    spec = OmegaConf.to_container(OmegaConf.load(path))
    if spec[TARGET].startswith("timm."):
        pytest.importorskip("timm")
    shape = SMALL if spec[TARGET].startswith("distill_cli.") else LARGE
    model = build_model(spec, num_classes=5, image_shape=shape, seed=0, pretrained=False)
    layers = found_layers(model, shape)
    assert len(layers) >= (1 if path.stem == "mlp_24" else 2)
