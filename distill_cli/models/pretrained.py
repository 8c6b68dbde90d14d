"""Weights that others publish: fetched where there is a network, compared with their names, never unpickled freely.

One decision to know: torchvision's files carry the first eight digits of their sha256 in their names. It compares
them after a download; here they are compared at every use, so that a file somebody put there by hand is the one
that torchvision means. 32 bits find damage and mix-ups; against malice, torch's restricted unpickler reads them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import torch.hub
from torch import nn

from distill_cli.artifacts.files import make_directory, sha256_of
from distill_cli.config.targets import TARGET, locate
from distill_cli.data.download import impatient
from distill_cli.errors import ArtifactError, ConfigError
from distill_cli.runtime.console import say

TORCHVISION = "torchvision.models."
DIGITS = re.compile(r"-([0-9a-f]{8,})\.")  # of the sha256, in a file's name
RESTRICTED = (
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # torch's: torch.load gives plain tensors or fails, whoever calls
)
OWN_FILE = "teacher.checkpoint=FILE.safetensors"


@contextmanager
def fetched(spec: Mapping[str, Any]) -> Iterator[None]:
    """While a constructor reads the weights that `spec` names. Torchvision's lie there, and are the right ones.

    Raises `ConfigError` where there are none of this name, `ArtifactError` where their file cannot be had, or is
    another.
    """
    weights = _of_torchvision(spec)
    if weights is not None:
        _ensure(weights.url)
    before = os.environ.get(RESTRICTED)
    os.environ[RESTRICTED] = "1"
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if before is None:
            del os.environ[RESTRICTED]
        else:
            os.environ[RESTRICTED] = before


def normalisation(spec: Mapping[str, Any], model: nn.Module) -> dict[str, list[float]] | None:
    """`mean` and `std` of the pictures that published weights saw, as far as their makers say."""
    weights = _of_torchvision(spec)
    said: Any = getattr(model, "pretrained_cfg", {}) if weights is None else vars(weights.transforms())
    seen = {name: [float(value) for value in said.get(name) or ()] for name in ("mean", "std")}
    return seen if all(seen.values()) else None


def _of_torchvision(spec: Mapping[str, Any]) -> Any:
    """The entry of torchvision's that `spec` names, None where it names none."""
    target, name = str(spec.get(TARGET, "")), spec.get("weights")
    if not (target.startswith(TORCHVISION) and name):
        return None
    from torchvision.models import get_model_weights

    try:
        entries = get_model_weights(locate(target))
    except ValueError:  # a class, say: there are weights for makers of models alone
        raise ConfigError(f"{target} comes with no weights; leave weights={name} out") from None
    short = str(name).removeprefix(f"{entries.__name__}.")
    if short not in entries.__members__:
        raise ConfigError(f"{target} has no weights={name}; there are {', '.join(entries.__members__)}")
    return entries[short]


def _ensure(url: str) -> None:
    """The file is in torch.hub's directory, where torchvision looks for it."""
    path = Path(torch.hub.get_dir(), "checkpoints", PurePosixPath(urlparse(url).path).name)
    digits = match[1] if (match := DIGITS.search(path.name)) else ""
    if not path.is_file():
        _download(url, path, digits)
    found = sha256_of(path)
    if not found.startswith(digits):
        raise ArtifactError(
            f"{path} is not what its name says: its sha256 begins with {found[: len(digits)]}; "
            "remove it, and it is fetched again"
        )


def _download(url: str, path: Path, digits: str) -> None:
    say(f"fetching {url}")
    try:
        make_directory(path.parent)
        with impatient():
            torch.hub.download_url_to_file(url, str(path), digits or None, progress=sys.stderr.isatty())
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ArtifactError(
            f"no {path}, and the download failed ({reason}); put {url} there, or pass {OWN_FILE}"
        ) from error
