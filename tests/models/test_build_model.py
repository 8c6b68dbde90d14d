from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distill_cli.errors import ConfigError
from distill_cli.models.build import build_model
from distill_cli.models.weights import weights_bytes

DIGITS = (1, 8, 8)
PHOTO = (3, 64, 64)
MLP = {"name": "mlp", "_target_": "distill_cli.models.mlp.Mlp", "depth": 1, "width": 24}
CNN = {"_target_": "distill_cli.models.cnn.Cnn"}
RESNET18 = {"_target_": "torchvision.models.resnet18"}


class OddOutput(nn.Module):
    """Gives whatever it is told to."""

    def __init__(self, *, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, pictures: Tensor) -> Any:
        logits = torch.zeros(len(pictures), 10)
        return {"tuple": (logits, logits), "integers": logits.long(), "matrix": logits[..., None]}[self.kind]


def build(spec: dict[str, Any], shape: tuple[int, int, int] = DIGITS, seed: int = 0) -> nn.Module:
    return build_model(spec, num_classes=10, image_shape=shape, seed=seed)


def refusal(spec: dict[str, Any], shape: tuple[int, int, int] = DIGITS) -> str:
    with pytest.raises(ConfigError) as caught:
        build(spec, shape)
    message = str(caught.value)
    assert spec["_target_"] in message and "\n" not in message
    return message


def test_the_seed_alone_decides_the_weights() -> None:
    torch.manual_seed(1)
    first = weights_bytes(build(CNN, seed=3))
    torch.manual_seed(2)
    assert weights_bytes(build(CNN, seed=3)) == first
    assert weights_bytes(build(CNN, seed=4)) != first


def test_the_global_random_state_is_untouched() -> None:
    before = torch.get_rng_state()
    build({**MLP, "dropout": 0.5})
    refusal({**MLP, "dropout": 2.0})
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_comes_in_train_mode_with_fresh_statistics() -> None:
    model = build({**CNN, "batch_norm": True})
    assert all(module.training for module in model.modules())
    statistics = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert statistics and all(m.running_mean is not None and not m.running_mean.any() for m in statistics)


def test_what_the_spec_says_itself_wins() -> None:
    assert "(2, 7); needed are float logits (2, 10)" in refusal({**MLP, "num_classes": 7})
    assert "(2, 7); needed are float logits (2, 10)" in refusal({**RESNET18, "num_classes": 7}, PHOTO)


def test_an_unknown_argument_is_refused_with_the_nearest_name() -> None:
    assert "did you mean 'width'?" in refusal({**MLP, "widht": 3})


def test_a_missing_argument_is_named() -> None:
    assert "'depth'" in refusal({"_target_": "distill_cli.models.mlp.Mlp", "width": 24})


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ({**MLP, "dropout": 2.0}, "probability"),
        ({"_target_": "distill_cli.models.cifar_resnet.CifarResNet", "depth": 18}, "6n + 2"),
        ({**RESNET18, "depth": 18}, "unexpected keyword argument 'depth'"),
        ({"_target_": "torchvision.models.resnet19"}, "has no 'resnet19'"),
        ({"_target_": "fractions.Fraction"}, "makes a Fraction, not a torch.nn.Module"),
    ],
)
def test_a_spec_that_makes_no_network_ends_with_one_line(spec: dict[str, Any], hint: str) -> None:
    assert hint in refusal(spec)


@pytest.mark.parametrize(
    ("kind", "found"),
    [("tuple", "into tuple"), ("integers", "torch.int64 (2, 10)"), ("matrix", "torch.float32 (2, 10, 1)")],
)
def test_a_network_that_gives_no_logits_is_refused(kind: str, found: str) -> None:
    assert found in refusal({"_target_": f"{__name__}.OddOutput", "kind": kind})


def test_a_picture_too_small_for_the_network_ends_with_one_line() -> None:
    message = refusal({"_target_": "torchvision.models.alexnet"})
    assert "fails on pictures of (1, 8, 8)" in message and "too small" in message


@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_outputs_end_with_one_line(name: str) -> None:
    spec = {"_target_": f"torchvision.models.{name}", "init_weights": False}
    assert "set aux_logits: false" in refusal(spec, PHOTO)


def test_googlenet_without_auxiliary_outputs_is_fine() -> None:
    spec = {"_target_": "torchvision.models.googlenet", "init_weights": False, "aux_logits": False}
    assert build(spec, PHOTO)(torch.rand(2, *PHOTO)).shape == (2, 10)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "shufflenet_v2_x0_5", "squeezenet1_1"])
def test_a_torchvision_model_of_grey_pictures_equals_the_original_on_grey_colour(name: str) -> None:
    spec = {"_target_": f"torchvision.models.{name}"}
    grey, colour = build(spec, (1, 64, 64)).eval(), build(spec, PHOTO).eval()
    pictures = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(grey(pictures), colour(pictures.expand(2, 3, 64, 64)))


def test_a_torchvision_model_takes_more_than_three_channels() -> None:
    model = build(RESNET18, (5, 32, 32))
    assert model.get_submodule("conv1").in_channels == 5
    assert model(torch.rand(2, 5, 32, 32)).shape == (2, 10)


@pytest.mark.filterwarnings("ignore")  # timm's own
def test_timm_makes_the_stem_and_the_classifier_itself() -> None:
    pytest.importorskip("timm")
    spec = {"_target_": "timm.create_model", "model_name": "resnet18", "pretrained": False}
    model = build(spec, (1, 32, 32))
    assert model.get_submodule("conv1").in_channels == 1
    assert model.get_submodule("fc").out_features == 10


@pytest.mark.filterwarnings("ignore")
def test_a_model_timm_does_not_know_ends_with_one_line() -> None:
    pytest.importorskip("timm")
    assert "Unknown model" in refusal({"_target_": "timm.create_model", "model_name": "resnet19"})
