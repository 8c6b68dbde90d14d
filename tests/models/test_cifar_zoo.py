"""The networks of the CRD protocol for CIFAR, beside the ResNets: counts, names, start, sizes of pictures.

Where only shapes matter they are made on torch's meta device, which computes nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict
from torch import nn

from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import config_dir, config_loader, user_config
from distill_cli.models.build import build_model
from distill_cli.models.cost import count_macs, count_parameters
from distill_cli.models.growth import grow
from distill_cli.models.layers import default_pairs, found_layers, preactivation
from distill_cli.models.penultimate import classifier_of
from distill_cli.models.reused_classifier import ReusedClassifier
from distill_cli.models.shufflenet_v2 import HalvingUnit, KeepingUnit
from distill_cli.models.taps import Taps

CIFAR = (3, 32, 32)
PUBLISHED = {  # parameters, million multiply-adds: 100 classes, 3x32x32 (RepDistiller)
    "wrn_16_1": (180_916, 26.7),
    "wrn_16_2": (703_284, 101.1),
    "wrn_40_1": (569_780, 83.3),
    "wrn_40_2": (2_255_156, 327.6),
    "vgg8": (3_965_028, 96.2),
    "vgg11": (9_277_284, 209.4),
    "vgg13": (9_462_180, 284.9),
    "vgg16": (14_774_436, 398.2),
    "vgg19": (20_086_692, 511.4),
    "resnet50_cifar": (23_705_252, 1298.0),
    "mobilenet_v2_half": (812_836, 6.5),
    "shufflenet_v1": (949_258, 38.7),
    "shufflenet_v2": (1_355_528, 44.5),
}
NARROW = {  # of each architecture a member that takes milliseconds
    "wrn_16_1": {"depth": 10},
    "vgg13": {"widths": [4, 4, 6, 8, 8]},
    "resnet50_cifar": {"blocks": [1, 2, 1, 1], "width": 4},
    "mobilenet_v2_half": {},
    "shufflenet_v1": {"widths": [36, 72, 144], "blocks": [2, 2, 2]},
    "shufflenet_v2": {"widths": [12, 24, 48], "blocks": [2, 2, 2], "embedding": 32},
}
of_each_architecture = pytest.mark.parametrize("name", NARROW)


def spec_of(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    spec = OmegaConf.to_container(OmegaConf.load(config_dir() / "model" / f"{name}.yaml"))
    assert isinstance(spec, dict)
    return {str(key): value for key, value in spec.items()} | changes


def build(name: str, shape: tuple[int, int, int] = CIFAR, classes: int = 100, **changes: Any) -> nn.Module:
    return build_model(spec_of(name, changes), num_classes=classes, image_shape=shape, seed=0)


def narrow(name: str, shape: tuple[int, int, int] = CIFAR, classes: int = 10) -> nn.Module:
    return build(name, shape, classes, **NARROW[name])


def shapes_alone(name: str) -> nn.Module:
    with torch.device("meta"):
        return build(name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_multiply_adds_are_those_published(name: str) -> None:
    model = shapes_alone(name)
    parameters, mega_macs = PUBLISHED[name]
    assert count_parameters(model) == parameters
    assert round(count_macs(model, CIFAR) / 1e6, 1) == mega_macs


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wrn_40_2", "conv1 block1.layer.0.convShortcut block2.layer.5.bn1 block3.layer.0.conv2 bn1 fc"),
        ("vgg13", "block0.0 block0.1 block0.3 block4.4 classifier"),
        ("resnet50_cifar", "conv1 bn1 layer1.0.shortcut.0 layer1.0.shortcut.1 layer4.2.conv3 linear"),
        ("mobilenet_v2_half", "conv1.0 blocks.0.0.conv.0 blocks.6.0.conv.7 conv2.1 classifier.0"),
        ("shufflenet_v1", "conv1 bn1 layer1.0.conv1 layer2.7.bn3 linear"),
        ("shufflenet_v2", "conv1 layer1.0.conv5 layer1.0.bn5 layer3.3.bn3 conv2 bn2 linear"),
    ],
)
def test_modules_with_weights_are_named_as_in_the_crd_code(name: str, expected: str) -> None:
    assert set(expected.split()) <= {path.rpartition(".")[0] for path in shapes_alone(name).state_dict()}


@of_each_architecture
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (3, 33, 17), (1, 8, 8), (1, 1, 3)])
def test_pictures_of_any_size_can_be_trained_on(name: str, shape: tuple[int, int, int]) -> None:
    model = narrow(name, shape)
    model(torch.rand(4, *shape)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@of_each_architecture
def test_neither_layout_nor_half_precision_changes_more_than_the_rounding(name: str) -> None:
    model, pictures = narrow(name).eval(), torch.rand(2, *CIFAR)
    expected = model(pictures)
    turned = model.to(memory_format=torch.channels_last)
    pictures = pictures.to(memory_format=torch.channels_last)
    torch.testing.assert_close(turned(pictures), expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        half = turned(pictures)
    assert half.dtype == torch.bfloat16
    assert (half - expected).norm() < 0.05 * expected.norm()


@of_each_architecture
def test_the_embedding_is_what_one_linear_layer_makes_the_logits_of(name: str) -> None:
    model, inputs = narrow(name), []
    classifier = classifier_of(model)
    assert classifier is not None and classifier.out_features == 10
    classifier.register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    logits = model(torch.rand(2, *CIFAR))
    assert inputs[0].shape == (2, classifier.in_features)
    assert torch.equal(classifier(inputs[0]), logits)


@pytest.mark.parametrize("name", ["wrn_16_2", "vgg8", "resnet50_cifar", "mobilenet_v2_half"])
def test_convolutions_start_with_the_variance_of_he_by_fan_out(name: str) -> None:
    large = 20_000  # weights, of which a deviation can be told
    for module in build(name).modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > large:
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)
            assert module.bias is None or not module.bias.any()


@pytest.mark.parametrize(
    ("name", "std", "has_bias"),
    [
        ("wrn_16_2", 1 / (3 * 128) ** 0.5, False),
        ("vgg8", 0.01, False),
        ("mobilenet_v2_half", 0.01, False),
        ("resnet50_cifar", 1 / (3 * 2048) ** 0.5, True),
        ("shufflenet_v1", 1 / (3 * 960) ** 0.5, True),
    ],
)
def test_the_classifier_starts_as_in_the_crd_code(name: str, std: float, has_bias: bool) -> None:
    classifier = classifier_of(build(name))
    assert classifier is not None
    assert classifier.weight.std().item() == pytest.approx(std, rel=0.02)
    assert bool(classifier.bias.any()) == has_bias


@pytest.mark.parametrize(("pixels", "size"), [(32, 4), (63, 8), (64, 4), (128, 8)])
def test_vgg_pools_a_fourth_time_from_64_pixels_on(pixels: int, size: int) -> None:
    model = narrow("vgg13", (3, pixels, pixels))
    layers = {layer.path: layer.shape for layer in found_layers(model, (3, pixels, pixels))}
    assert layers["block4"] == (8, size, size)


def shuffled(joined: torch.Tensor) -> torch.Tensor:
    left, right = joined.chunk(2, dim=1)
    return torch.stack([left, right], dim=2).flatten(1, 2)


def test_one_relu_behind_the_shuffle_is_the_one_of_the_paper_before_it() -> None:
    torch.manual_seed(0)
    unit, features = KeepingUnit(8), torch.randn(4, 8, 6, 6).relu()
    kept, changed = features.chunk(2, dim=1)
    changed = unit.bn1(unit.conv1(changed)).relu()
    changed = unit.bn3(unit.conv3(unit.bn2(unit.conv2(changed)))).relu()
    assert torch.equal(unit(features), shuffled(torch.cat([kept, changed], dim=1)))
    unit = HalvingUnit(8, 12)
    left = unit.bn2(unit.conv2(unit.bn1(unit.conv1(features)))).relu()
    right = unit.bn3(unit.conv3(features)).relu()
    right = unit.bn5(unit.conv5(unit.bn4(unit.conv4(right)))).relu()
    assert torch.equal(unit(features), shuffled(torch.cat([left, right], dim=1)))


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("wrn_16_1", {"depth": 18}, "6n"),
        ("wrn_16_1", {"factor": 0}, "factor"),
        ("vgg8", {"convs": [1, 1, 1]}, "five numbers"),
        ("resnet50_cifar", {"blocks": [3, 4, 6]}, "four numbers"),
        ("mobilenet_v2_half", {"width": 0.05}, "1/16"),
        ("shufflenet_v1", {"blocks": [4, 8]}, "three numbers"),
        ("shufflenet_v2", {"widths": [115, 232, 464]}, "even"),
    ],
)
def test_what_makes_no_network_is_refused_in_a_line(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        build(name, **changes)
    assert "\n" not in str(refused.value)


@of_each_architecture
def test_the_classifier_grows_by_classes(name: str) -> None:
    former, grown = narrow(name, classes=3).eval(), narrow(name, classes=5).eval()
    grow(grown, former, [1, 0, 4], 5)
    pictures = torch.rand(2, *CIFAR)
    torch.testing.assert_close(grown(pictures)[:, [1, 0, 4]], former(pictures), rtol=1e-4, atol=1e-5)


@of_each_architecture
def test_the_classifier_gives_way_to_a_teachers(name: str) -> None:
    reused = ReusedClassifier(
        backbone=spec_of(name, NARROW[name]), width=24, num_classes=7, in_channels=3, image_size=(32, 32)
    )
    assert reused(torch.rand(2, *CIFAR)).shape == (2, 7)


# Layers to compare.

BLOCKS, STAGES = ["block1", "block2", "block3"], ["layer1", "layer2", "layer3"]
VGG, MOBILE = ["block0", "block1", "block2", "block4"], ["blocks.1", "blocks.2", "blocks.4", "conv2"]
FOUND = {
    "wrn_40_2": BLOCKS,
    "wrn_16_2": BLOCKS,
    "wrn_40_1": BLOCKS,
    "vgg13": VGG,
    "vgg8": VGG,
    "resnet50_cifar": [*STAGES, "layer4"],
    "mobilenet_v2_half": MOBILE,
    "shufflenet_v1": STAGES,
    "shufflenet_v2": STAGES,
    **dict.fromkeys(["resnet20", "resnet32", "resnet56", "resnet110", "resnet8x4", "resnet32x4"], STAGES),
}
TABLE = [  # teacher and student
    ("wrn_40_2", "wrn_16_2"),
    ("wrn_40_2", "wrn_40_1"),
    ("resnet56", "resnet20"),
    ("resnet110", "resnet20"),
    ("resnet110", "resnet32"),
    ("resnet32x4", "resnet8x4"),
    ("vgg13", "vgg8"),
    ("vgg13", "mobilenet_v2_half"),
    ("resnet50_cifar", "mobilenet_v2_half"),
    ("resnet50_cifar", "vgg8"),
    ("resnet32x4", "shufflenet_v1"),
    ("resnet32x4", "shufflenet_v2"),
    ("wrn_40_2", "shufflenet_v1"),
]


@pytest.mark.parametrize(("teacher", "student"), TABLE)
def test_the_stages_of_a_pair_are_compared_one_by_one(teacher: str, student: str) -> None:
    pairs = default_pairs(shapes_alone(student), shapes_alone(teacher), CIFAR)
    assert pairs == tuple(zip(FOUND[student], FOUND[teacher], strict=True))


@of_each_architecture
def test_what_goes_into_the_last_relu_of_a_layer_can_be_caught(name: str) -> None:
    """Blocks of wide ResNets and of MobileNetV2 end in none: what leaves them may be negative itself."""
    model = narrow(name)
    paths = [layer.path for layer in found_layers(model, CIFAR)]
    before = [preactivation(model, path, CIFAR) for path in paths]
    ends_in_sum = [path.startswith("blocks.") or name == "wrn_16_1" for path in paths]
    assert [tap == path for tap, path in zip(before, paths, strict=True)] == ends_in_sum
    taps = Taps(model, [*before, *paths])
    model(torch.rand(4, *CIFAR))
    caught = taps.take()
    for is_sum, pre, features in zip(ends_in_sum, caught, caught[len(paths) :], strict=False):
        assert (pre < 0).any() and torch.equal(pre if is_sum else pre.relu(), features)


@pytest.mark.parametrize("name", ["mobilenet_v2_half", "shufflenet_v1", "shufflenet_v2"])
def test_the_experiment_of_light_students_differs_from_the_protocol_in_their_learning_rate(name: str) -> None:
    words = ["model@teacher.model=vgg13", f"model@student.model={name}"]
    plain, light = (composed(f"experiment={word}", *words) for word in ("cifar100_crd", "cifar100_crd_light"))
    assert light["student"]["optimizer"].pop("lr") == 0.01
    assert plain["student"]["optimizer"].pop("lr") == 0.05
    assert light == plain


def composed(*overrides: str) -> dict[str, Any]:
    with user_config(None), config_loader() as loader:
        config = loader.load_configuration("config", list(overrides), RunMode.RUN)
    with open_dict(config):
        del config["hydra"]
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
