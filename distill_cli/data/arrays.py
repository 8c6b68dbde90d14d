"""One's own pictures as arrays in an .npz file: `images`, `labels`, and what else is known.

    images, labels              the train part, or everything: uint8 (N,H,W), (N,H,W,C) or (N,C,H,W), C 1 or 3
    test_images, test_labels    optional; else a part is held out by hash
    val_images, val_labels      optional
    classes                     optional names; else "0", "1", … up to the largest label

A label of -1 stands for unknown. Nothing is ever unpickled.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from distill_cli.data.holdout import hold_out_test
from distill_cli.data.splits import UNLABELLED, ArraySplit, Pixels, RawSets
from distill_cli.errors import ConfigError, DataError

Arrays = dict[str, NDArray[Any]]
PARTS = ("", "val_", "test_")
MOST_UNNAMED = 65_535
KNOWN = {"classes", *(f"{part}{what}" for part in PARTS for what in ("images", "labels"))}


def load(root: Path, file: str | None, test: float = 0.1) -> RawSets:
    """Read `root/file`. Raises `DataError` where the arrays are missing or do not fit together."""
    if not file:
        raise ConfigError("no file is named: set data.file=FILE.npz (relative to paths.data, or absolute)")
    path = root / file
    arrays = _read(path)
    train, validation, held_out = (_part(path, arrays, prefix) for prefix in PARTS)
    if train is None:
        raise DataError(f"{path} has no array named images")
    parts = [part for part in (train, validation, held_out) if part is not None]
    if len({part.images.shape[1:] for part in parts}) > 1:
        raise DataError(
            f"{path}: pictures differ in shape: {', '.join(str(p.images.shape[1:]) for p in parts)}"
        )
    classes = _classes(path, arrays.get("classes"), max(int(part.labels.max(initial=0)) for part in parts))
    if held_out is not None:
        return RawSets(classes, train, validation, held_out)
    rest, chosen = hold_out_test(train, test)
    return RawSets(classes, rest, validation, chosen)


def _read(path: Path) -> Arrays:
    try:
        with path.open("rb") as stream:  # NumPy would leave a bad file open
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise DataError(
                    f"{path} is a single array; write it with numpy.savez(FILE, images=…, labels=…)"
                )
            return {name: file[name] for name in KNOWN.intersection(file.files)}
    except FileNotFoundError:
        raise DataError(f"no file {path}; put it there, or set data.file or paths.data") from None
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"cannot read {path}: {' '.join(str(error).split())}") from error


def _part(path: Path, arrays: Arrays, prefix: str) -> ArraySplit | None:
    """Takes its arrays out of `arrays`: they are often copied, and may be most of the memory there is."""
    images, labels = arrays.pop(f"{prefix}images", None), arrays.pop(f"{prefix}labels", None)
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        raise DataError(f"{path} has {prefix}images or {prefix}labels without the other")
    pictures = _channels_first(f"{path}: {prefix}images", images)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataError(
            f"{path}: {prefix}labels must be a row of integers, not {labels.dtype} {labels.shape}"
        )
    if len(labels) != len(pictures):
        raise DataError(f"{path}: {len(pictures)} {prefix}images, but {len(labels)} {prefix}labels")
    labels = labels.astype(np.int64)
    if labels.min(initial=0) < UNLABELLED:
        raise DataError(f"{path}: {prefix}labels has {labels.min()}; only -1 (unknown) may be below 0")
    return ArraySplit(pictures, labels)


def _channels_first(what: str, images: NDArray[Any]) -> Pixels:
    """(N,H,W), (N,H,W,C) or (N,C,H,W) as contiguous (N,C,H,W). Channels last where both would do."""
    if images.dtype != np.uint8:
        raise DataError(f"{what} must be uint8 from 0 to 255, not {images.dtype}")
    if images.ndim == 3:
        return np.ascontiguousarray(images[:, None])
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return np.ascontiguousarray(images)
    raise DataError(f"{what} must be (N,H,W), (N,H,W,C) or (N,C,H,W) with C 1 or 3, not {images.shape}")


def _classes(path: Path, names: NDArray[Any] | None, largest: int) -> tuple[str, ...]:
    if names is None:
        if largest > MOST_UNNAMED:
            raise DataError(
                f"{path}: a label is {largest}; if so many classes are meant, name them in classes"
            )
        return tuple(str(label) for label in range(largest + 1))
    if names.dtype.kind != "U" or names.ndim != 1:
        raise DataError(f"{path}: classes must be a row of strings, not {names.dtype} {names.shape}")
    if largest >= len(names):
        raise DataError(f"{path}: a label is {largest}, but there are only {len(names)} classes")
    return tuple(str(name) for name in names)
