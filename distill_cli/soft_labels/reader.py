"""The train rows of a label set as one tensor, found by (view, sample).

Every seal is checked when the set is opened, every byte's checksum when its block is read; the rows then stay
in memory, or on the device, in their stored dtype, and are decoded a batch at a time.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from distill_cli.errors import ArtifactError
from distill_cli.soft_labels.encodings import Encoding
from distill_cli.soft_labels.label_set import LabelSet


class LabelReader:
    def __init__(
        self, labels: LabelSet, encoding: Encoding, device: torch.device, resident_bytes: float
    ) -> None:
        labels.check_identity()
        self.encoding = encoding
        self.samples = len(labels.data.train)
        rows = _read_all(labels, encoding)
        fits = rows.nbytes <= resident_bytes
        self.rows = torch.from_numpy(rows).to(device if fits else torch.device("cpu"))
        self.device = device

    def logits(self, index: Tensor, view: Tensor) -> Tensor:
        """float32 (batch, classes) on the device, for samples and views on the host."""
        position = (view * self.samples + index).to(self.rows.device)
        return self.encoding.decode(self.rows[position].to(self.device))


def _read_all(labels: LabelSet, encoding: Encoding) -> np.ndarray:
    """(views · samples, …), view by view."""
    classes, samples = len(labels.data.classes), len(labels.data.train)
    shape, dtype = encoding.row_shape(classes), encoding.row_dtype(classes)
    rows = np.empty((labels.views * samples, *shape), dtype)
    for shard in labels.train():
        block = shard.read()
        if block.shape != (shard.rows, *shape) or block.dtype != dtype:
            raise ArtifactError(
                f"{shard.path} has rows of {block.shape[1:]} {block.dtype}, not {shape} {dtype}"
            )
        first = shard.view * samples
        rows[first + shard.start : first + shard.stop] = block
    return rows
