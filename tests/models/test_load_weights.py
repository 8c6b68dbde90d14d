from __future__ import annotations

import io
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from distill_cli.errors import ArtifactError
from distill_cli.models.cifar_resnet import CifarResNet
from distill_cli.models.weights import load_weights, weights_bytes


def small(num_classes: int = 10, depth: int = 8, widths: tuple[int, ...] = (4, 4, 8, 8)) -> CifarResNet:
    return CifarResNet(num_classes=num_classes, in_channels=1, depth=depth, widths=widths)


def write(path: Path, weights: dict[str, Tensor]) -> Path:
    safetensors.torch.save_file(weights, path)
    return path


def refusal(model: nn.Module, path: Path) -> str:
    before = weights_bytes(model)
    with pytest.raises(ArtifactError) as caught:
        load_weights(model, path)
    assert weights_bytes(model) == before, "a refused file must not change the model"
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def test_what_was_written_is_what_is_loaded(tmp_path: Path) -> None:
    original, copy = small(), small()
    original(torch.rand(4, 1, 8, 8))  # batch statistics that are not the initial ones
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights_bytes(original))
    load_weights(copy, path)
    assert all(torch.equal(tensor, copy.state_dict()[name]) for name, tensor in original.state_dict().items())


def test_equal_weights_give_equal_bytes_whatever_their_layout_in_memory() -> None:
    model = small()
    expected = weights_bytes(model)
    assert weights_bytes(model.to(memory_format=torch.channels_last)) == expected


def test_tied_weights_are_written_and_loaded(tmp_path: Path) -> None:
    layer = nn.Linear(3, 3)
    path = tmp_path / "tied.safetensors"
    path.write_bytes(weights_bytes(nn.Sequential(layer, layer)))
    copy = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    load_weights(copy, path)
    assert torch.equal(copy[0].weight, layer.weight) and torch.equal(copy[1].weight, layer.weight)


def test_the_prefix_of_data_parallel_is_ignored(tmp_path: Path) -> None:
    original, copy = small(), small()
    weights = {f"module.{name}": tensor for name, tensor in original.state_dict().items()}
    load_weights(copy, write(tmp_path / "wrapped.safetensors", weights))
    assert torch.equal(original.fc.weight, copy.fc.weight)


def test_a_model_whose_own_names_begin_with_module_keeps_them(tmp_path: Path) -> None:
    original, copy = (nn.Sequential() for _ in range(2))
    original.add_module("module", nn.Linear(2, 2))
    copy.add_module("module", nn.Linear(2, 2))
    load_weights(copy, write(tmp_path / "named.safetensors", original.state_dict()))
    assert weights_bytes(copy) == weights_bytes(original)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(small(), tmp_path / "nowhere.safetensors")
    assert "no such file" in refusal(small(), tmp_path)  # a directory


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path: Path, as_zip: bool) -> None:
    path = tmp_path / "model.pt"
    torch.save(small().state_dict(), path, _use_new_zipfile_serialization=as_zip)
    assert "torch.load(FILE, weights_only=True)" in refusal(small(), path)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights_bytes(small())[:keep])
    assert "not a whole safetensors file" in refusal(small(), path)


def test_missing_names_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "shallow.safetensors", small(depth=8).state_dict())
    message = refusal(small(depth=14), path)
    assert "lacks 'layer1.1.conv1.weight' and 35 more; another architecture?" in message


def test_unexpected_names_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "deep.safetensors", small(depth=14).state_dict())
    message = refusal(small(depth=8), path)
    assert "has an unexpected 'layer1.1.bn1.bias' and 35 more; another architecture?" in message


def test_one_name_that_differs_is_told_from_both_sides(tmp_path: Path) -> None:
    weights = dict(small().state_dict())
    weights["classifier.bias"] = weights.pop("fc.bias")
    message = refusal(small(), write(tmp_path / "renamed.safetensors", weights))
    assert "lacks 'fc.bias', has an unexpected 'classifier.bias'; another architecture?" in message


def test_other_widths_are_refused_by_name_and_shape(tmp_path: Path) -> None:
    path = write(tmp_path / "wide.safetensors", small(widths=(4, 4, 8, 16)).state_dict())
    message = refusal(small(), path)
    assert "'layer3.0.conv1.weight' is (16, 8, 3, 3) there and (8, 8, 3, 3) in the model" in message


def test_another_number_of_classes_is_told_as_such(tmp_path: Path) -> None:
    path = write(tmp_path / "five.safetensors", small(num_classes=5).state_dict())
    assert refusal(small(), path).endswith("has 5 classes, the data set has 10")


def test_another_width_before_the_classifier_is_not_taken_for_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "other.safetensors", {"weight": torch.zeros(10, 7), "bias": torch.zeros(10)})
    assert "'weight' is (10, 7) there and (10, 8) in the model" in refusal(nn.Linear(8, 10), path)


def test_weights_of_a_pickle_load_once_converted_as_the_hint_says(tmp_path: Path) -> None:
    original, copy = small(), small()
    file = io.BytesIO()
    torch.save(original.state_dict(), file)
    file.seek(0)
    load_weights(copy, write(tmp_path / "model.safetensors", torch.load(file, weights_only=True)))
    assert weights_bytes(copy) == weights_bytes(original)
