"""MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100, in the folders that torchvision lays down.

The files are parsed here, without torch: a command that finds everything up to date must not wait for an
import. CIFAR comes as pickles, so they are read by an unpickler that can build arrays and plain containers
and nothing else. Only a download imports torchvision, which checks the files' md5 sums.
"""

from __future__ import annotations

import gzip
import math
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill_cli.data.download import ensure_files
from distill_cli.data.splits import ArraySplit, Labels, RawSets
from distill_cli.errors import DataError

FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
IDX_FILES = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)
ARRAY_PARTS = {  # what a pickled array is put together from
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}
CIFAR10_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))


def mnist(root: Path) -> RawSets:
    """60,000 and 10,000 digits of (1, 28, 28); Y. LeCun, C. Cortes, C. Burges."""
    return _idx_sets(root, "MNIST", tuple("0123456789"))


def fashion_mnist(root: Path) -> RawSets:
    """60,000 and 10,000 pictures of clothes of (1, 28, 28); Xiao, Rasul, Vollgraf (arXiv 1708.07747)."""
    return _idx_sets(root, "FashionMNIST", FASHION)


def cifar10(root: Path) -> RawSets:
    """50,000 and 10,000 photographs of (3, 32, 32) in 10 classes; A. Krizhevsky 2009."""
    folder = ensure_files(
        root, "CIFAR10", "cifar-10-batches-py", (*CIFAR10_BATCHES, "test_batch", "batches.meta")
    )
    classes = _class_names(folder / "batches.meta", b"label_names")
    batches = [_cifar_part(folder / name, b"labels", len(classes)) for name in CIFAR10_BATCHES]
    images = np.concatenate([batch.images for batch in batches])
    train = ArraySplit(images, np.concatenate([batch.labels for batch in batches]))
    return RawSets(classes, train, test=_cifar_part(folder / "test_batch", b"labels", len(classes)))


def cifar100(root: Path) -> RawSets:
    """50,000 and 10,000 photographs of (3, 32, 32) in 100 fine classes; A. Krizhevsky 2009."""
    folder = ensure_files(root, "CIFAR100", "cifar-100-python", ("train", "test", "meta"))
    classes = _class_names(folder / "meta", b"fine_label_names")
    train, test = (_cifar_part(folder / part, b"fine_labels", len(classes)) for part in ("train", "test"))
    return RawSets(classes, train, test=test)


def _idx_sets(root: Path, name: str, classes: tuple[str, ...]) -> RawSets:
    folder = ensure_files(root, name, f"{name}/raw", IDX_FILES)
    arrays = [_idx(folder, file) for file in IDX_FILES]
    parts = []
    for images, labels, file in zip(arrays[::2], arrays[1::2], IDX_FILES[1::2], strict=True):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataError(f"{folder / file}: {len(labels)} labels for images of shape {images.shape}")
        parts.append(ArraySplit(images[:, None], _checked(folder / file, labels, len(classes))))
    return RawSets(classes, parts[0], test=parts[1])


def _idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """An IDX file, plain or gzipped: two zeros, the type (8: uint8), number and sizes of the axes, values."""
    path = folder / name if (folder / name).exists() else folder / f"{name}.gz"
    content = _bytes(path)
    axes = {b"\0\0\x08\x01": 1, b"\0\0\x08\x03": 3}.get(content[:4].tobytes(), 0)
    start = 4 + 4 * axes
    sizes = np.frombuffer(content[4:start].tobytes().ljust(4 * axes, b"\0"), ">u4")
    shape = tuple(int(size) for size in sizes)
    if not axes or len(content) != start + math.prod(shape):
        raise DataError(f"{path} is cut off or no IDX file; delete it to have it downloaded again")
    return content[start:].reshape(shape)


def _bytes(path: Path) -> NDArray[np.uint8]:
    try:
        if path.suffix == ".gz":
            return np.frombuffer(bytearray(gzip.decompress(path.read_bytes())), np.uint8)
        return np.fromfile(path, np.uint8)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _cifar_part(path: Path, label_key: bytes, classes: int) -> ArraySplit:
    content = _unpickle(path)
    images, labels = content.get(b"data"), content.get(label_key)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (3072,):
        raise DataError(f"{path} holds no array of 32×32 pictures")
    if (
        not isinstance(labels, list)
        or len(labels) != len(images)
        or {type(label) for label in labels} != {int}
    ):
        raise DataError(f"{path} holds no label for every picture")
    return ArraySplit(images.reshape(-1, 3, 32, 32), _checked(path, np.array(labels), classes))


def _class_names(path: Path, key: bytes) -> tuple[str, ...]:
    names = _unpickle(path).get(key)
    if not isinstance(names, list) or not names or not all(isinstance(name, bytes | str) for name in names):
        raise DataError(f"{path} holds no class names")
    return tuple(name.decode("latin-1") if isinstance(name, bytes) else name for name in names)


def _checked(path: Path, labels: NDArray[Any], classes: int) -> Labels:
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(
            f"{path}: labels from {labels.min()} to {labels.max()}, but there are {classes} classes"
        )
    return labels.astype(np.int64)


class _ArraysOnly(pickle.Unpickler):
    """Builds arrays, numbers, strings and containers of them; any other global is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAY_PARTS:
            raise DataError(f"it asks for {module}.{name}")
        return ARRAY_PARTS[module, name]


def _unpickle(path: Path) -> dict[Any, Any]:
    """Keys and strings of a Python 2 pickle come as bytes."""
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="bytes").load()
    except DataError as error:
        raise DataError(f"refused to unpickle {path}: {error}") from None
    except Exception as error:  # bytes of unknown origin: there is no telling what they raise
        raise DataError(
            f"cannot read {path}: {' '.join(str(error).split())}; delete it and its folder"
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no dictionary")
    return content
