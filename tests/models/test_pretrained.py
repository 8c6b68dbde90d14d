"""Published weights: what a network takes over, what is made anew, and what happens without a network."""

from __future__ import annotations

import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from published_weights import NAME, publish, publish_file
from torch import nn

from distill_cli.config.published import names_weights, refuse_files, without_weights
from distill_cli.errors import ArtifactError, ConfigError, DistillError
from distill_cli.models.build import build_model, published_model
from distill_cli.models.pretrained import normalisation
from distill_cli.models.weights import weights_bytes

SHAPE = (3, 64, 64)
MAKER = "shufflenet_v2_x0_5"  # five megabytes
SPEC = {"_target_": f"torchvision.models.{MAKER}", "weights": NAME}
CLASSIFIER = {"fc.weight", "fc.bias"}


def build(spec: dict[str, Any], classes: int = 10, seed: int = 0, **options: Any) -> nn.Module:
    return build_model(spec, num_classes=classes, image_shape=SHAPE, seed=seed, **options)


def refusal(kind: type[DistillError], spec: dict[str, Any], **options: Any) -> str:
    with pytest.raises(kind) as caught:
        build(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_other_classes_get_a_fresh_classifier_and_nothing_else(monkeypatch, tmp_path):
    published, _ = publish(monkeypatch, tmp_path, MAKER)
    found = build(SPEC).state_dict()
    differing = {name for name, value in published.items() if not torch.equal(found[name], value)}
    assert differing == CLASSIFIER
    assert found["fc.weight"].shape == (10, 1024)


def test_the_seed_alone_decides_the_fresh_classifier(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, MAKER)
    torch.manual_seed(1)
    first = weights_bytes(build(SPEC, seed=3))
    torch.manual_seed(2)
    assert weights_bytes(build(SPEC, seed=3)) == first
    assert weights_bytes(build(SPEC, seed=4)) != first


def test_where_there_are_as_many_classes_the_classifier_stays(monkeypatch, tmp_path):
    published, _ = publish(monkeypatch, tmp_path, MAKER, classes=7)
    found = build(SPEC, classes=7).state_dict()
    assert all(torch.equal(found[name], value) for name, value in published.items())


def test_a_classifier_that_is_a_convolution_is_made_anew_as_well(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, "squeezenet1_1")
    model = build({"_target_": "torchvision.models.squeezenet1_1", "weights": NAME}, classes=5)
    assert model(torch.rand(2, *SHAPE)).shape == (2, 5)


def test_a_missing_file_is_fetched_once_and_kept(monkeypatch, tmp_path, capsys):
    published, path = publish(monkeypatch, tmp_path / "home", MAKER)
    elsewhere = tmp_path / "server" / path.name
    elsewhere.parent.mkdir()
    path.rename(elsewhere)
    entry = torchvision.models.get_model_weights(MAKER)[NAME].value
    monkeypatch.setattr(entry, "url", elsewhere.as_uri())
    assert torch.equal(build(SPEC).state_dict()["conv1.0.weight"], published["conv1.0.weight"])
    said = capsys.readouterr()
    assert f"fetching {elsewhere.as_uri()}" in said.err and not said.out
    elsewhere.unlink()
    build(SPEC)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_is_fetched_must_have_the_digits_of_its_name(monkeypatch, tmp_path):
    _, path = publish(monkeypatch, tmp_path / "home", MAKER)
    elsewhere = tmp_path / path.name
    elsewhere.write_bytes(path.read_bytes()[:-1])
    path.unlink()
    entry = torchvision.models.get_model_weights(MAKER)[NAME].value
    monkeypatch.setattr(entry, "url", elsewhere.as_uri())
    assert "invalid hash value" in refusal(ArtifactError, SPEC)
    assert not list(path.parent.iterdir())


def test_without_a_network_one_line_says_where_the_file_belongs(monkeypatch, tmp_path, no_network):
    _, path = publish(monkeypatch, tmp_path, MAKER)
    path.unlink()
    message = refusal(ArtifactError, SPEC)
    assert f"no {path}, and the download failed" in message and "network is unreachable" in message
    assert f"put https://weights.invalid/{path.name} there" in message
    assert message.endswith("or pass teacher.checkpoint=FILE.safetensors")
    assert not list(path.parent.iterdir())


def test_a_file_with_a_flipped_bit_is_refused_though_torchvision_would_not_look(monkeypatch, tmp_path):
    _, path = publish(monkeypatch, tmp_path, MAKER)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    message = refusal(ArtifactError, SPEC)
    assert f"{path} is not what its name says" in message and "remove it" in message


class Mischief:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_of_the_right_name_runs_nothing(monkeypatch, tmp_path):
    trace = tmp_path / "trace"
    publish_file(monkeypatch, tmp_path, MAKER, pickle.dumps(Mischief(trace), protocol=2))
    assert SPEC["_target_"] in refusal(ConfigError, SPEC)
    assert not trace.exists()


def test_weights_that_nobody_has_published_are_refused_with_those_there_are():
    assert "there are IMAGENET1K_V1, DEFAULT" in refusal(ConfigError, {**SPEC, "weights": "IMAGENET1K_V9"})
    assert "there are IMAGENET1K_V1, DEFAULT" in refusal(ConfigError, {**SPEC, "weights": True})
    for name in (f"ResNet50_Weights.{NAME}", f"torchvision.models.ShuffleNet_V2_X0_5_Weights.{NAME}"):
        assert f"has no weights={name}; there are" in refusal(ConfigError, {**SPEC, "weights": name})
    a_class = {"_target_": "torchvision.models.ResNet", "weights": NAME}
    assert "comes with no weights" in refusal(ConfigError, a_class)


def test_a_network_whose_weights_are_replaced_anyway_fetches_none(monkeypatch, tmp_path, no_network):
    _, path = publish(monkeypatch, tmp_path, MAKER)
    path.unlink()
    spec = {"_target_": "anything", "backbone": SPEC}
    assert build(SPEC, pretrained=False)(torch.rand(2, *SHAPE)).shape == (2, 10)
    with pytest.raises(ConfigError, match="dotted path"):  # what is nested is not fetched either
        build(spec, pretrained=False)


def test_the_weights_may_be_said_with_their_own_family(monkeypatch, tmp_path):
    published, _ = publish(monkeypatch, tmp_path, MAKER)
    found = build({**SPEC, "weights": f"ShuffleNet_V2_X0_5_Weights.{NAME}"}).state_dict()
    assert torch.equal(found["conv1.0.weight"], published["conv1.0.weight"])


def test_arguments_of_such_names_are_an_own_networks_own_business():
    own = {"_target_": "mine.Net", "weights": [1, 2], "pretrained": "half", "checkpoint_path": "x"}
    inner = {"_target_": "timm.create_model", "model_name": "resnet18", "pretrained": True}
    stripped = {"_target_": "timm.create_model", "model_name": "resnet18"}
    assert without_weights({**own, "inner": inner}) == {**own, "inner": stripped}
    assert not names_weights(own) and names_weights(inner)
    refuse_files({"teacher": own})


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("pretrained_cfg_overlay.file", {"pretrained_cfg_overlay": {"file": "model.safetensors"}}),
        ("pretrained_cfg.file", {"pretrained_cfg": {"file": "model.safetensors", "num_classes": 4}}),
        ("checkpoint_path", {"checkpoint_path": "model.safetensors"}),
        ("model_name", {"model_name": "local-dir:mine"}),
    ],
)
def test_a_file_that_a_key_would_know_by_its_name_is_refused(key, more):
    spec = {"_target_": "timm.create_model", "model_name": "resnet18", "pretrained": True}
    refuse_files({"peers": {"members": {"one": spec}}, "assistant": None})
    with pytest.raises(
        ConfigError, match=rf"^teacher\.model\.{key}=.* set teacher\.checkpoint=FILE\.safetensors"
    ):
        refuse_files({"teacher": {"model": {**spec, **more}}})


def test_weights_of_a_network_that_cannot_be_built_without_them_are_refused_at_once(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, "googlenet")
    spec = {"_target_": "torchvision.models.googlenet", "weights": NAME}
    assert "take another network" in refusal(ConfigError, spec)


def test_a_published_teacher_is_as_it_was_published(monkeypatch, tmp_path):
    published, _ = publish(monkeypatch, tmp_path, MAKER, classes=4)
    model = published_model(SPEC, num_classes=4, image_shape=SHAPE)
    assert not model.training
    assert all(torch.equal(model.state_dict()[name], value) for name, value in published.items())
    assert normalisation(SPEC, model) == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def test_a_published_teacher_of_other_classes_is_refused(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path, MAKER)
    with pytest.raises(ConfigError, match=r"\(2, 1000\); needed are float logits \(2, 4\); leave teacher.ch"):
        published_model(SPEC, num_classes=4, image_shape=SHAPE)


@pytest.mark.filterwarnings("ignore")  # timm's own
class TestTimm:
    @pytest.fixture
    def spec(self, tmp_path):
        """timm reads a file where its overlay names one."""
        timm = pytest.importorskip("timm")
        torch.save(timm.create_model("resnet18", num_classes=1000).state_dict(), tmp_path / "weights.pth")
        overlay = {"file": str(tmp_path / "weights.pth")}
        target = {"_target_": "timm.create_model", "model_name": "resnet18", "pretrained": True}
        return {**target, "pretrained_cfg_overlay": overlay}

    def test_other_classes_get_a_fresh_classifier_and_nothing_else(self, spec, tmp_path):
        published, found = torch.load(tmp_path / "weights.pth"), build(spec).state_dict()
        assert {n for n, value in published.items() if not torch.equal(found[n], value)} == CLASSIFIER

    def test_a_published_teacher_keeps_its_classes(self, spec):
        model = published_model(spec, num_classes=1000, image_shape=SHAPE)
        assert normalisation(spec, model) == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
        with pytest.raises(ConfigError, match=r"leave teacher\.checkpoint out"):
            published_model(spec, num_classes=4, image_shape=SHAPE)

    def test_without_a_network_one_line_says_what_to_pass(self, monkeypatch):
        builder = pytest.importorskip("timm.models._builder")

        def no_network(*_: Any, **__: Any) -> None:
            raise OSError("We couldn't connect to the hub.\nCheck your connection.")

        monkeypatch.setattr(builder, "load_state_dict_from_hf", no_network)
        spec = {"_target_": "timm.create_model", "model_name": "resnet18", "pretrained": True}
        assert refusal(ArtifactError, spec).endswith("no network? pass teacher.checkpoint=FILE.safetensors")
