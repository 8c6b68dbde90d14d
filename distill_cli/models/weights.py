"""Weights in and out of safetensors files; nothing is ever unpickled.

One decision to know: loading is strict. A file that does not fit the model is refused with the first
difference and their number, because a half-loaded teacher trains students without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from distill_cli.errors import ArtifactError

Weights = dict[str, Tensor]
WRAPPER = "module."  # what nn.DataParallel puts before every name
PICKLES = (b"PK\x03\x04", b"\x80")  # how the files of torch.save begin, new and old
CONVERT = 'safetensors.torch.save_file(torch.load(FILE, weights_only=True), "model.safetensors")'


def load_weights(model: nn.Module, path: Path, other_classes: str = "") -> None:
    """Replace all of the model's weights and buffers by those of a safetensors file.

    Raises `ArtifactError` where the file is missing, is no safetensors file, or belongs to another
    architecture or number of classes, with `other_classes` for a remedy; the model is untouched then.
    """
    expected = model.state_dict()
    found = _unwrapped(_read(path), expected)
    _check_names(found, expected, path)
    _check_shapes(found, expected, path, other_classes)
    model.load_state_dict(found)


def weights_bytes(model: nn.Module) -> bytes:
    """The state dict as a safetensors file: equal weights, equal bytes. Tied weights are written twice."""
    weights = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()
    }
    return bytes(safetensors.torch.save(weights))


def _read(path: Path) -> Weights:
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file")
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        with path.open("rb") as file:
            if file.read(4).startswith(PICKLES):
                raise ArtifactError(f"{path} is a pickle; convert it where you trust it: {CONVERT}") from None
        raise ArtifactError(
            f"{path} is not a whole safetensors file: {' '.join(str(error).split())}"
        ) from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}") from None


def _unwrapped(found: Weights, expected: Mapping[str, Tensor]) -> Weights:
    is_wrapped = all(name.startswith(WRAPPER) for name in found)
    if not is_wrapped or any(name.startswith(WRAPPER) for name in expected):
        return found
    return {name.removeprefix(WRAPPER): tensor for name, tensor in found.items()}


def _check_names(found: Weights, expected: Mapping[str, Tensor], path: Path) -> None:
    missing = [name for name in expected if name not in found]
    unexpected = sorted(found.keys() - expected.keys())
    parts = [
        f"{what} {names[0]!r}" + (f" and {len(names) - 1} more" if names[1:] else "")
        for what, names in (("lacks", missing), ("has an unexpected", unexpected))
        if names
    ]
    if parts:
        raise ArtifactError(f"{path} {', '.join(parts)}; another architecture?")


def _check_shapes(found: Weights, expected: Mapping[str, Tensor], path: Path, other_classes: str) -> None:
    differing = [name for name in expected if found[name].shape != expected[name].shape]
    if not differing:
        return
    name = differing[0]
    theirs, ours = found[name].shape, expected[name].shape
    classifier = list(expected)[-1].rpartition(".")[0]
    is_classifier = all(key.rpartition(".")[0] == classifier for key in differing)
    if is_classifier and len(theirs) == len(ours) and theirs[1:] == ours[1:]:
        raise ArtifactError(f"{path} has {theirs[0]} classes, the data set has {ours[0]}{other_classes}")
    raise ArtifactError(
        f"{path}: {name!r} is {tuple(theirs)} there and {tuple(ours)} in the model "
        f"({len(differing)} tensors differ); another architecture?"
    )
