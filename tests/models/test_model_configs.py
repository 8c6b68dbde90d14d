"""Every YAML of conf/model/ builds, and learns nothing it should not know: one data set for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from distill_cli.models.build import build_model
from distill_cli.models.cost import count_parameters

FOLDER = Path(__file__).parents[2] / "conf" / "model"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
DIGITS, FASHION, CIFAR, PHOTO = (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)
SHAPES = {"cnn_digits": DIGITS, "mlp_24": DIGITS, "cnn_fashion": FASHION, "cnn": PHOTO, "resnet18": PHOTO}


def spec_of(name: str) -> dict[str, Any]:
    spec = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"))
    assert isinstance(spec, dict)
    return {str(key): value for key, value in spec.items()}


def build(name: str, num_classes: int, shape: tuple[int, int, int]) -> nn.Module:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    return build_model(spec_of(name), num_classes=num_classes, image_shape=shape, seed=0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:timm", "ignore::FutureWarning:timm")
@pytest.mark.parametrize("name", [path.stem for path in CONFIGS])
def test_a_config_builds_a_network_that_can_be_trained(name: str) -> None:
    shape = SHAPES.get(name, CIFAR)
    model = build(name, 10, shape)
    model(torch.rand(2, *shape)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_named_like_its_file_and_short(path: Path) -> None:
    assert spec_of(path.stem)["name"] == path.stem
    assert len(path.read_text().splitlines()) <= 8


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_argument_in_a_config_is_explained(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert " # " in line or line.startswith(("name:", "_target_:")), line


@pytest.mark.parametrize(
    ("name", "num_classes", "shape", "parameters"),
    [
        ("mlp_24", 10, DIGITS, 1_810),
        ("cnn_digits", 10, DIGITS, 74_794),
        ("cnn_fashion", 10, FASHION, 288_170),
        ("mnist_2x800", 10, FASHION, 1_276_810),
        ("mnist_2x1200", 10, FASHION, 2_395_210),
        ("cnn", 5, PHOTO, 144_261),
        ("resnet110", 100, CIFAR, 1_736_564),
        ("resnet32x4", 100, CIFAR, 7_433_860),
        ("resnet18", 1000, PHOTO, 11_689_512),
        ("resnet50", 1000, PHOTO, 25_557_032),
        ("mobilenet_v2", 1000, PHOTO, 3_504_872),
        ("timm_resnet18", 1000, PHOTO, 11_689_512),
    ],
)
def test_a_config_has_the_parameters_its_literature_says(
    name: str, num_classes: int, shape: tuple[int, int, int], parameters: int
) -> None:
    assert count_parameters(build(name, num_classes, shape)) == parameters
