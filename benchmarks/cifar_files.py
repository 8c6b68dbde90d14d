"""Noise in the files of CIFAR-100, of any number of pictures: read as the real ones are, and as many bytes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

CLASSES = 100


def write_cifar100(root: Path, train: int, test: int) -> Path:
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for part, samples in (("train", train), ("test", test)):
        random = np.random.default_rng(samples)
        content = {
            b"data": random.integers(0, 256, (samples, 3 * 32 * 32), np.uint8),
            b"fine_labels": random.integers(0, CLASSES, samples).tolist(),
        }
        (folder / part).write_bytes(pickle.dumps(content, protocol=4))
    names = {b"fine_label_names": [f"class {number}".encode() for number in range(CLASSES)]}
    (folder / "meta").write_bytes(pickle.dumps(names, protocol=4))
    return root
