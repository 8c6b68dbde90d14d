"""Weights for tests in the place of torchvision's: a file of our own in a torch hub of its own. No network."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor

NAME = "IMAGENET1K_V1"


def publish(
    monkeypatch: pytest.MonkeyPatch, home: Path, maker: str, classes: int = 1000
) -> tuple[dict[str, Tensor], Path]:
    """A network's fresh weights, and their file: torchvision's entry names it and its digest from now on."""
    arguments = {"init_weights": False} if maker == "googlenet" else {}
    weights = getattr(torchvision.models, maker)(num_classes=classes, **arguments).state_dict()
    file = io.BytesIO()
    torch.save(weights, file)
    return weights, publish_file(monkeypatch, home, maker, file.getvalue(), classes)


def publish_file(
    monkeypatch: pytest.MonkeyPatch, home: Path, maker: str, content: bytes, classes: int = 1000
) -> Path:
    """The same with any bytes."""
    path = home / "hub" / "checkpoints" / f"{maker}-{sha256(content).hexdigest()[:8]}.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    entry = torchvision.models.get_model_weights(maker)[NAME]
    monkeypatch.setenv("TORCH_HOME", str(home))
    monkeypatch.setattr(entry.value, "url", f"https://weights.invalid/{path.name}")
    monkeypatch.setitem(entry.meta, "categories", [f"class {number}" for number in range(classes)])
    return path
