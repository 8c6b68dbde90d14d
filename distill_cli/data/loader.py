"""From (sample, view) to batches on the device: pixels, mixing, normalisation, labels.

The loader has no opinion on order: it yields what it is asked for, so that training, labelling and evaluation
share it, and samples are always found by index.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from distill_cli.data.batch import Batch
from distill_cli.data.pixels import open_pixels
from distill_cli.data.splits import DataSet, Split
from distill_cli.data.views.views import CLEAN, Draws, Integers, Views


class Loader:
    """Batches of one split; `views` None yields clean pictures."""

    def __init__(
        self,
        split: Split,
        data: DataSet,
        device: torch.device,
        views: Views | None = None,
        *,
        resident_bytes: float = 4e9,
        workers: int | None = None,
    ) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.size = len(split)
        self.views = views
        self.device = device
        recipe = None if views is None else views.recipe
        workers = cores if workers is None else workers
        self.pixels = open_pixels(split, recipe, device, resident_bytes=resident_bytes, workers=workers)
        self.labels = torch.from_numpy(split.labels).to(device)
        self.scale = 1 / (255 * _per_channel(data.std, device))
        self.shift = _per_channel(data.mean, device) / _per_channel(data.std, device)

    def clean(self, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Samples [start, stop) in order, without augmentation. Only for a loader without views."""
        assert self.views is None, "this loader augments"
        index = np.arange(start, self.size if stop is None else stop)
        nothing = np.empty((len(index), 0), np.float32)
        yield from self._batches(Draws(index, np.full_like(index, CLEAN), nothing), batch_size)

    def epoch(self, order: Integers, epoch: int, batch_size: int) -> Iterator[Batch]:
        """Samples in the given order, each in the view that belongs to the epoch."""
        assert self.views is not None, "this loader does not augment"
        yield from self.view(order, self.views.view_in_epoch(order, epoch), batch_size)

    def view(self, index: Integers, view: Integers, batch_size: int) -> Iterator[Batch]:
        """The given views of the given samples."""
        assert self.views is not None, "this loader does not augment"
        yield from self._batches(self.views.draw(index, view, self.size), batch_size)

    def _batches(self, draws: Draws, batch_size: int) -> Iterator[Batch]:
        for number, (own, partner) in enumerate(self.pixels.batches(draws, batch_size)):
            rows = slice(number * batch_size, (number + 1) * batch_size)
            yield self._batch(draws, rows, self._normalise(own), partner)

    def _batch(self, draws: Draws, rows: slice, inputs: Tensor, partner: Tensor | None) -> Batch:
        index, view = torch.from_numpy(draws.index[rows]), torch.from_numpy(draws.view[rows])
        labels = self.labels[index.to(self.device)]
        if partner is None or self.views is None or self.views.mixing is None:
            return Batch(inputs, labels, index, view)
        assert draws.partner is not None and draws.share is not None and draws.mix is not None
        share = torch.from_numpy(draws.share[rows]).to(self.device)
        uniform = torch.from_numpy(draws.mix[rows]).to(self.device)
        mixed, share = self.views.mixing(inputs, self._normalise(partner), share, uniform)
        partner_labels = self.labels[torch.from_numpy(draws.partner[rows]).to(self.device)]
        return Batch(mixed, labels, index, view, partner_labels, share)

    def _normalise(self, pixels: Tensor) -> Tensor:
        return pixels.float().mul_(self.scale).sub_(self.shift)


def _per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device).view(1, -1, 1, 1)
