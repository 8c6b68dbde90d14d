"""From (sample, view) to batches on the device: pixels, mixing, normalisation, labels.

The loader has no opinion on order: it yields what it is asked for, so that training, labelling and evaluation
share it, and samples are always found by index. Where pixels are in memory, it makes a *stretch* of several
batches at a time and cuts it, so that a step costs little more than its model; no row depends on the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from distill_cli.data.batch import Batch
from distill_cli.data.pixels import open_pixels
from distill_cli.data.splits import UNLABELLED, DataSet, Split
from distill_cli.data.views.views import CLEAN, Draws, Integers, Views
from distill_cli.losses.upload import upload
from distill_cli.runtime.cores import cores
from distill_cli.runtime.device import one_thread

STRETCH_BYTES = {"cpu": 8e6, "cuda": 256e6}  # of a stretch: pixels, and whatever has a row of classes
MOST_DRAWN = 1 << 16  # samples whose random numbers are drawn at a time

Prepare = Callable[[Batch], Batch]


class Loader:
    """Batches of one split; `views` None yields clean pictures.

    `only`: the samples that an epoch goes through, by their numbers in the split; None: all.
    """

    def __init__(
        self,
        split: Split,
        data: DataSet,
        device: torch.device,
        views: Views | None = None,
        *,
        only: Integers | None = None,
        resident_bytes: float = 4e9,
        workers: int | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.samples = len(split)
        self.only = only
        self.size = self.samples if only is None else len(only)  # of an epoch
        self.classes = len(data.classes)
        self.views = views
        self.device = device
        self.memory_format = memory_format
        recipe = None if views is None else views.recipe
        workers = default_workers(device) if workers is None else workers
        self.pixels = open_pixels(split, recipe, device, resident_bytes=resident_bytes, workers=workers)
        self.labels = torch.from_numpy(split.labels).to(device)
        shown = split.labels if only is None else split.labels[only]
        self.all_labelled = bool((shown != UNLABELLED).all())
        self.scale = 1 / (255 * _per_channel(data.std, device))
        self.shift = _per_channel(data.mean, device) / _per_channel(data.std, device)
        self.row_bytes = 4 * math.prod(data.image_shape) + 8 * self.classes

    def clean(self, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Samples [start, stop) in order, without augmentation. Only for a loader without views."""
        assert self.views is None, "this loader augments"
        index = np.arange(start, self.samples if stop is None else stop)
        nothing = np.empty((len(index), 0), np.float32)
        for stretch in self._stretches(Draws(index, np.full_like(index, CLEAN), nothing), batch_size):
            yield from stretch.batches(batch_size)

    def epoch(
        self,
        order: Integers,
        epoch: int,
        batch_size: int,
        prepare: Prepare = lambda stretch: stretch,
        each: int = 1,
    ) -> Iterator[Batch]:
        """Samples in an order of [0, size), each in the view that belongs to the epoch, or in `each` of them.

        Views of a sample are rows side by side, and `batch_size` counts samples. `prepare` is given each stretch
        before it is cut into batches.
        """
        assert self.views is not None, "this loader does not augment"
        index = order if self.only is None else self.only[order]
        view = self.views.view_in_epoch(index, epoch, each)
        yield from self.view(np.repeat(index, each), view, batch_size * each, prepare)

    def view(
        self,
        index: Integers,
        view: Integers,
        batch_size: int,
        prepare: Prepare = lambda stretch: stretch,
    ) -> Iterator[Batch]:
        """The given views of the given samples."""
        assert self.views is not None, "this loader does not augment"
        drawn = max(1, MOST_DRAWN // batch_size) * batch_size
        for start in range(0, len(index), drawn):
            rows = slice(start, start + drawn)
            draws = self.views.draw(index[rows], view[rows], self.samples)
            for stretch in self._stretches(draws, batch_size):
                yield from prepare(stretch).batches(batch_size)

    def _stretches(self, draws: Draws, batch_size: int) -> Iterator[Batch]:
        size = self._stretch(batch_size)
        for number, (own, partner) in enumerate(self.pixels.batches(draws, size)):
            rows = slice(number * size, (number + 1) * size)
            yield self._batch(draws, rows, self._normalise(own), partner)

    def _stretch(self, batch_size: int) -> int:
        """Samples in a stretch: whole batches, as many as fit."""
        if not self.pixels.is_resident:
            return batch_size
        fitting = STRETCH_BYTES.get(self.device.type, 8e6) / self.row_bytes
        return max(1, int(fitting) // batch_size) * batch_size

    def _batch(self, draws: Draws, rows: slice, inputs: Tensor, partner: Tensor | None) -> Batch:
        index, view = torch.from_numpy(draws.index[rows]), torch.from_numpy(draws.view[rows])
        labels = self._labels(draws.index[rows])
        if partner is None or self.views is None or self.views.mixing is None:
            return Batch(inputs, labels, index, view, all_labelled=self.all_labelled)
        assert draws.partner is not None and draws.share is not None and draws.mix is not None
        share, uniform = self._upload(draws.share[rows]), self._upload(draws.mix[rows])
        mixed, share = self.views.mixing(inputs, self._normalise(partner), share, uniform)
        partners = self._labels(draws.partner[rows])
        targets = self._targets(labels, partners, share) if self.all_labelled else None
        main = torch.where(share >= 0.5, labels, partners)
        return Batch(
            mixed, labels, index, view, partners, share, self.all_labelled, targets, main_labels=main
        )

    def _labels(self, index: Integers) -> Tensor:
        return self.labels.index_select(0, self._upload(index))

    def _upload(self, values: np.ndarray) -> Tensor:
        return upload(torch.from_numpy(values), self.device)

    def _targets(self, labels: Tensor, partners: Tensor, share: Tensor) -> Tensor:
        """Each row has its label's share, and the rest for its partner's, (rows, classes)."""
        targets = torch.zeros(len(labels), self.classes, device=self.device)
        targets.scatter_(1, labels.unsqueeze(1), share.unsqueeze(1))
        return targets.scatter_add_(1, partners.unsqueeze(1), 1 - share.unsqueeze(1))

    def _normalise(self, pixels: Tensor) -> Tensor:
        with nullcontext() if self.pixels.is_resident else one_thread():  # the other cores decode
            normalised = pixels.float().mul_(self.scale).sub_(self.shift)
            return normalised.contiguous(memory_format=self.memory_format)


def default_workers(device: torch.device) -> int:
    """Processes that decode pictures: one a core beside a GPU; on a CPU, whose cores train, one for four."""
    return cores() // 4 if device.type == "cpu" else cores()


def _per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device).view(1, -1, 1, 1)
