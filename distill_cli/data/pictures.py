"""Decoding picture files, and a split of them that is read as it is used.

A picture comes out as its author saw it, in 8 bits: turned as its EXIF says, the first frame of an animation,
16 bits scaled down, CMYK and palettes converted, transparency laid on white. Only the formats listed here are
tried (others would run programs), and the size in the header is checked before anything is decoded: 100
megapixels fit into 400 kB.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distill_cli.data.splits import Labels, Pixels
from distill_cli.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")

_opening = threading.Lock()  # `catch_warnings` is not safe among threads


@dataclass(frozen=True)
class PictureSplit:
    """Picture files of any size. What `digest` covers is the files' bytes, and `crop` where it is not 1."""

    folder: Path
    names: NDArray[np.object_] = field(repr=False)  # posix paths from the folder, (samples,)
    hashes: NDArray[np.uint8] = field(repr=False)  # sha256 of each file (samples, 32)
    labels: Labels = field(repr=False)
    size: int
    channels: int = 3
    max_pixels: int = MAX_PIXELS
    crop: float = 1.0  # side of the clean picture, as a part of the short side

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def clean_shape(self) -> tuple[int, int, int]:
        return self.channels, self.size, self.size

    @property
    def keys(self) -> NDArray[np.uint64]:
        """What decides whether a picture is held out: its path, so that one more file moves no other."""
        paths = (str(name).encode("utf-8", "surrogateescape") for name in self.names)
        return np.frombuffer(b"".join(sha256(path).digest()[:8] for path in paths), "<u8").astype(np.uint64)

    def path(self, index: int) -> Path:
        """By its name alone: a folder that is a link leads elsewhere, and so would its `..`."""
        return Path(os.path.normpath(self.folder / str(self.names[index])))

    def picture(self, index: int) -> Pixels:
        return _pixels(decode(self.path(index), self.channels, self.max_pixels))

    def clean(self, index: int) -> Pixels:
        picture = decode(self.path(index), self.channels, self.max_pixels)
        return _pixels(centre_square(picture, self.size, self.crop))

    def digest(self, start: int, stop: int) -> str:
        cut = f"crop {self.crop}".encode() if self.crop != 1 else b""
        return sha256(self.hashes[start:stop].tobytes() + cut).hexdigest()

    def take(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> PictureSplit:
        return self._with(self.names[keep], self.hashes[keep], self.labels[keep])

    def relabel(self, labels: Labels) -> PictureSplit:
        return self._with(self.names, self.hashes, labels)

    def _with(self, names: NDArray[np.object_], hashes: NDArray[np.uint8], labels: Labels) -> PictureSplit:
        return replace(self, names=names, hashes=hashes, labels=labels)


def decode(path: Path, channels: int = 3, max_pixels: int = MAX_PIXELS) -> Image:
    """The picture in mode L or RGB. Raises `DataError` with the path where it cannot be had."""
    try:
        return _decode(path, channels, max_pixels)
    except MemoryError:
        raise
    except Exception as error:  # a decoder given unknown bytes: there is no telling what it raises
        raise DataError(
            f"cannot read the picture {path}: {_reason(error)}; remove it, or set data.on_error=skip"
        ) from error


def problem_of(content: bytes, max_pixels: int = MAX_PIXELS) -> str:
    """Why a file with this content is no picture that can be had; empty if it is one."""
    try:
        _decode(io.BytesIO(content), 3, max_pixels)
    except MemoryError:  # says nothing about the picture
        raise
    except Exception as error:
        return _reason(error)
    return ""


def centre_square(picture: Image, size: int, crop: float = 1.0) -> Image:
    """A centred square resized to `size`; its side is `crop` of the short side, what is around it is cut.

    Cut first, resized second: the same up to rounding, and a strip of 1×50,000 pixels does not become a huge
    picture on the way.
    """
    from PIL.Image import Resampling

    side = max(1, round(crop * min(picture.size)))
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    return square.resize((size, size), Resampling.BILINEAR)  # antialiases when it makes smaller


def _decode(file: Path | io.BytesIO, channels: int, max_pixels: int) -> Image:
    from PIL import ImageOps

    with _open(file, max_pixels) as picture:
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        flat, mode = _flat(picture), "L" if channels == 1 else "RGB"
        return flat if flat.mode == mode else flat.convert(mode)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _open(file: Path | io.BytesIO, max_pixels: int) -> Image:
    from PIL import Image

    with _opening, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        picture = Image.open(file, formats=FORMATS)
    if picture.width * picture.height > max_pixels:
        picture.close()
        raise ValueError(f"{picture.width}×{picture.height} is more than data.max_pixels={max_pixels}")
    return picture


def _flat(picture: Image) -> Image:
    """Eight bits a channel, no transparency."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits, grey: 65535 becomes 255
        grey = np.asarray(picture).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)


def _pixels(picture: Image) -> Pixels:
    """(channels, height, width). In memory the channels of a pixel stay together, as what resizes it wants them."""
    values = np.array(picture, np.uint8)  # (height, width) or (height, width, channels)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
