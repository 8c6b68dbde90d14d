"""What every data set hands over, whatever it was read from. NumPy only: keys are computed from it without torch.

Pictures are uint8 arrays (channels, height, width). A label of -1 means: hidden, or unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from distill_cli.losses.labels import UNLABELLED as UNLABELLED

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


@runtime_checkable
class Split(Protocol):
    """Samples in a fixed order; a sample's index is its position here."""

    @property
    def labels(self) -> Labels: ...  # (samples,)

    def __len__(self) -> int: ...

    def picture(self, index: int) -> Pixels:
        """The whole picture (channels, height, width), of whatever size it has."""
        ...

    def clean(self, index: int) -> Pixels:
        """The picture at the data set's own size: the view without augmentation."""
        ...

    def digest(self, start: int, stop: int) -> str:
        """sha256 over the content of the pictures [start, stop), labels not included."""
        ...

    def take(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Split:
        """The samples that a mask or a list of indices chooses, in order."""
        ...

    def relabel(self, labels: Labels) -> Split:
        """The same pictures with other labels."""
        ...


@dataclass(frozen=True)
class ArraySplit:
    """Pictures of one size, in memory. The jobs of a sweep may share them: they are only ever read."""

    images: Pixels = field(repr=False)  # (samples, channels, height, width)
    labels: Labels = field(repr=False)  # (samples,)
    _digests: dict[tuple[int, int], str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert self.images.ndim == 4 and self.images.dtype == np.uint8, (self.images.shape, self.images.dtype)
        assert self.labels.shape == self.images.shape[:1], (self.labels.shape, self.images.shape)

    def __len__(self) -> int:
        return len(self.labels)

    def picture(self, index: int) -> Pixels:
        pixels: Pixels = self.images[index]
        return pixels

    clean = picture

    def digest(self, start: int, stop: int) -> str:
        """Computed once: nobody writes to pictures."""
        if (start, stop) not in self._digests:
            self._digests[start, stop] = self._digest(start, stop)
        return self._digests[start, stop]

    def _digest(self, start: int, stop: int) -> str:
        pixels = np.ascontiguousarray(self.images[start:stop])
        digest = sha256(repr(pixels.shape).encode())
        digest.update(pixels.data)
        return digest.hexdigest()

    @property
    def bytes(self) -> int:
        return self.images.nbytes + self.labels.nbytes

    def take(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> ArraySplit:
        return ArraySplit(self.images[keep], self.labels[keep])

    def relabel(self, labels: Labels) -> ArraySplit:
        return ArraySplit(self.images, labels)


@dataclass(frozen=True)
class RawSets:
    """What a source reads: a train part, and the held-out parts where the publisher made them."""

    classes: tuple[str, ...]
    train: Split
    validation: Split | None = None
    test: Split | None = None
    skipped: tuple[Path, ...] = ()  # pictures left out by `on_error=skip`


@dataclass(frozen=True)
class DataSet:
    """A data set ready for use: three parts, class names, and how to normalise."""

    name: str
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]
    std: tuple[float, ...]
    image_shape: tuple[int, int, int]  # (channels, height, width) of a clean picture
    train: Split
    validation: Split
    test: Split
    skipped: tuple[Path, ...] = ()

    @property
    def splits(self) -> dict[str, Split]:
        return {"train": self.train, "validation": self.validation, "test": self.test}
