"""Two ways from a list of views to their uint8 pixels: out of one tensor on the device, or through workers.

Both apply the same recipe to the same numbers, so they yield the same pixels.
"""

from __future__ import annotations

import atexit
import signal
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from distill_cli.data.splits import ArraySplit, Split
from distill_cli.data.views.recipes import NoAugmentation, Recipe
from distill_cli.data.views.views import Draws
from distill_cli.errors import DataError
from distill_cli.losses.upload import upload
from distill_cli.runtime.shared import shared

Pair = tuple[Tensor, Tensor | None]  # own and partner's pictures, uint8 (batch, channels, height, width)


class PixelSource(Protocol):
    is_resident: bool  # many pictures at once cost no more than one after the other

    def batches(self, draws: Draws, batch_size: int) -> Iterator[Pair]: ...


class Resident:
    """The whole split as one uint8 tensor on the device; a batch is a gather."""

    is_resident = True

    def __init__(self, split: Split, recipe: Recipe, device: torch.device) -> None:
        self.images = _resident_pictures(split, device)
        self.recipe = recipe
        self.device = device

    def batches(self, draws: Draws, batch_size: int) -> Iterator[Pair]:
        own = self._plan(draws.index, draws.recipe)
        partner = None
        if draws.partner is not None and draws.partner_recipe is not None:
            partner = self._plan(draws.partner, draws.partner_recipe)
        for start in range(0, len(draws.index), batch_size):
            rows = slice(start, start + batch_size)
            yield self._take(own, rows), None if partner is None else self._take(partner, rows)

    def _plan(self, index: np.ndarray, uniform: np.ndarray) -> tuple[Tensor, Tensor]:
        return upload(torch.from_numpy(index), self.device), upload(torch.from_numpy(uniform), self.device)

    def _take(self, plan: tuple[Tensor, Tensor], rows: slice) -> Tensor:
        index, uniform = plan
        return self.recipe(self.images.index_select(0, index[rows]), uniform[rows])


class Streamed:
    """Pictures decoded and augmented one by one, in worker processes that live as long as this object."""

    is_resident = False

    def __init__(self, split: Split, recipe: Recipe, device: torch.device, workers: int) -> None:
        self.sampler = _Sampler()
        self.device = device
        self.loader: DataLoader[Tensor | DataError] = DataLoader(
            _Pictures(split, recipe),
            batch_sampler=self.sampler,
            num_workers=workers,
            collate_fn=_collate,
            persistent_workers=workers > 0,
            worker_init_fn=_ignore_signals,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # its own: torch's is the model's, and a resume restores it
        )
        atexit.register(_stop_workers, weakref.ref(self.loader))

    def batches(self, draws: Draws, batch_size: int) -> Iterator[Pair]:
        has_partner = draws.partner is not None
        self.sampler.plan(draws, batch_size)
        for pixels in self.loader:
            if isinstance(pixels, DataError):
                raise pixels
            pictures = pixels.to(self.device, non_blocking=True)
            yield (pictures[0::2], pictures[1::2]) if has_partner else (pictures, None)


Wanted = tuple[int, "np.ndarray"]  # which picture, and the numbers of its recipe


class _Sampler:
    """Yields batches of what is wanted; a partner follows its sample."""

    def __init__(self) -> None:
        self.batches: list[list[Wanted]] = []

    def plan(self, draws: Draws, batch_size: int) -> None:
        wanted = [[pair] for pair in zip(draws.index.tolist(), draws.recipe, strict=True)]
        if draws.partner is not None and draws.partner_recipe is not None:
            partners = zip(draws.partner.tolist(), draws.partner_recipe, strict=True)
            wanted = [[*own, partner] for own, partner in zip(wanted, partners, strict=True)]
        self.batches = [
            [pair for pairs in wanted[start : start + batch_size] for pair in pairs]
            for start in range(0, len(wanted), batch_size)
        ]

    def __iter__(self) -> Iterator[list[Wanted]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Pictures(Dataset["Tensor | DataError"]):
    """Runs in the workers. A picture that cannot be read is handed on as a value, to be raised at home."""

    def __init__(self, split: Split, recipe: Recipe) -> None:
        self.split = split
        self.recipe = recipe

    def __getitem__(self, wanted: Wanted) -> Tensor | DataError:
        index, uniform = wanted
        try:
            picture = self.split.picture(index) if self.recipe.whole_picture else self.split.clean(index)
        except DataError as error:
            return error
        return self.recipe(torch.from_numpy(picture)[None], torch.from_numpy(uniform)[None])[0]


def open_pixels(
    split: Split, recipe: Recipe | None, device: torch.device, *, resident_bytes: float, workers: int
) -> PixelSource:
    """The faster way that fits. `recipe` None: clean pictures."""
    recipe = recipe or NoAugmentation()
    fits = _clean_bytes(split) <= resident_bytes
    if fits and (not recipe.whole_picture or (isinstance(split, ArraySplit) and workers == 0)):
        return Resident(split, recipe, device)
    return Streamed(split, recipe, device, workers)


def _resident_pictures(split: Split, device: torch.device) -> Tensor:
    """One tensor for all jobs of a sweep, never written to. On a CPU an array is its own: nothing is copied."""
    if isinstance(split, ArraySplit) and device.type == "cpu":
        return torch.from_numpy(_clean_pictures(split))
    shape = split.clean(0).shape if len(split) else ()
    key = ("pictures", split.digest(0, len(split)), shape, str(device))
    return shared.get(key, _clean_bytes(split), lambda: torch.from_numpy(_clean_pictures(split)).to(device))


def _clean_bytes(split: Split) -> int:
    return len(split) * split.clean(0).size if len(split) else 0


def _clean_pictures(split: Split) -> np.ndarray:
    if isinstance(split, ArraySplit):
        return np.ascontiguousarray(split.images)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
        return np.stack(list(pool.map(split.clean, range(len(split)))))


def _collate(pictures: list[Tensor | DataError]) -> Tensor | DataError:
    for picture in pictures:
        if isinstance(picture, DataError):
            return picture
    return torch.stack([picture for picture in pictures if isinstance(picture, Tensor)])


def _ignore_signals(worker: int) -> None:
    """Signals go to the whole process group; the parent alone decides when to stop."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def _stop_workers(loader: weakref.ref[DataLoader[Tensor | DataError]]) -> None:
    """At exit: multiprocessing would send SIGTERM, which they ignore, and then wait for ever."""
    iterator = getattr(loader(), "_iterator", None)
    for worker in getattr(iterator, "_workers", ()):
        worker.kill()
