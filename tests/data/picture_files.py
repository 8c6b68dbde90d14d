"""Small picture files for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def random_pixels(seed: int = 0, height: int = 12, width: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save_picture(path: Path, seed: int = 0, height: int = 12, width: int = 16) -> Path:
    """A PNG whatever its name says, with random pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random_pixels(seed, height, width)).save(path, format="PNG")
    return path


def flip_last_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
