"""Augmentation recipes: pure functions of pixels and of a few uniform numbers.

A recipe never draws a random number. It is given `draws` uniform numbers a picture, which come from a hash of
(views.seed, view, sample), so a view is the same in every batch, order, process and epoch. Pictures are uint8
(batch, channels, height, width); `uniform` is float32 in [0, 1), (batch, draws).

`whole_picture` says what a recipe starts from: the stored picture of whatever size (then batches hold one
picture), or the clean one of the data set's size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from distill_cli.config.targets import instantiate


class Recipe(Protocol):
    draws: int
    whole_picture: bool

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor: ...


class NoAugmentation:
    """Every view is the clean picture."""

    draws = 0
    whole_picture = False

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        return images


class Shift:
    """Move the picture by up to `pixels` in each direction; what comes in is black."""

    draws = 2
    whole_picture = False

    def __init__(self, pixels: int) -> None:
        if pixels < 0:
            raise ValueError(f"pixels={pixels} must not be negative")
        self.pixels = pixels

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        rows, columns = self.windows(images, uniform)
        return _gather(F.pad(images, [self.pixels] * 4), rows, columns)

    def windows(self, images: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows and columns of each padded picture are shown, (batch, height) and (batch, width)."""
        offsets = (uniform * (2 * self.pixels + 1)).long()  # (batch, 2), in 0 .. 2·pixels
        height, width = (torch.arange(length, device=images.device) for length in images.shape[-2:])
        return offsets[:, :1] + height, offsets[:, 1:] + width


class CropFlip:
    """A crop of the picture's own size out of one padded with black, then a mirror image, or not."""

    draws = 3
    whole_picture = False

    def __init__(self, padding: int = 4, flip: float = 0.5) -> None:
        if not 0 <= flip <= 1:
            raise ValueError(f"flip={flip} must be in [0, 1]")
        self.shift = Shift(padding)
        self.flip = flip

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        rows, columns = self.shift.windows(images, uniform[:, :2])
        columns = torch.where(uniform[:, 2:] < self.flip, columns.flip(-1), columns)
        return _gather(F.pad(images, [self.shift.pixels] * 4), rows, columns)


class Transforms:
    """Any `torchvision.transforms.v2`, a picture at a time, with torch's generator seeded for each view.

    `transforms` lists specs, for instance `{_target_: torchvision.transforms.v2.RandAugment}`. The result is
    resized to the data set's size where they leave another.
    """

    draws = 2
    whole_picture = True

    def __init__(self, image_size: tuple[int, int], transforms: Sequence[Mapping[str, Any]]) -> None:
        from torchvision.transforms import v2  # half a second; only recipes for folders need it

        self.image_size = list(image_size)
        self.transform = v2.Compose([instantiate(spec) for spec in transforms])
        self.resize = v2.functional.resize

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        if len(images) == 1:
            return self._one(images[0], uniform[0])[None]
        return torch.stack([self._one(*pair) for pair in zip(images, uniform, strict=True)])

    def _one(self, image: Tensor, uniform: Tensor) -> Tensor:
        high, low = (int(number * (1 << 24)) for number in uniform.tolist())
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(high << 24 | low)
            augmented: Tensor = self.transform(image)
        if list(augmented.shape[-2:]) != self.image_size:
            augmented = self.resize(augmented, self.image_size, antialias=True)
        return augmented


class RandomResizedCrop(Transforms):
    """A random part of the picture, resized to the data set's size, then a mirror image, or not."""

    def __init__(
        self,
        image_size: tuple[int, int],
        scale: Sequence[float] = (0.25, 1.0),
        ratio: Sequence[float] = (0.75, 4 / 3),
        flip: float = 0.5,
    ) -> None:
        v2 = "torchvision.transforms.v2"
        crop = {"_target_": f"{v2}.RandomResizedCrop", "size": list(image_size), "antialias": True}
        mirror = {"_target_": f"{v2}.RandomHorizontalFlip", "p": flip}
        super().__init__(image_size, [{**crop, "scale": list(scale), "ratio": list(ratio)}, mirror])


def _gather(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels where a picture's own rows and columns meet, (batch, channels, rows, columns).

    One flat gather, eight times as fast as indexing with four tensors.
    """
    batch, channels, _, width = images.shape
    flat = (rows.unsqueeze(2) * width + columns.unsqueeze(1)).view(batch, 1, -1)
    picked = images.view(batch, channels, -1).gather(2, flat.expand(-1, channels, -1))
    return picked.view(batch, channels, rows.shape[1], columns.shape[1])
