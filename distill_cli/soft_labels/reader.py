"""What a teacher said about the train samples, found by (view, sample) and decoded a batch at a time.

Every seal is checked when the set is opened, every byte's checksum before a row of its file is used. The rows
stay in memory, or on the device, as they were stored; where they do not fit, they are read from their files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.upload import upload
from distill_cli.soft_labels.encodings import Encoding, row_bytes
from distill_cli.soft_labels.label_set import EMBEDDING, LOGITS, LabelSet
from distill_cli.soft_labels.rows import FileRows, Opened, ResidentRows, Rows
from distill_cli.soft_labels.shards import descr

EMBEDDING_DTYPE = np.dtype("<f2")


class LabelReader:
    """`resident` is auto, true or false: whether rows stay in memory; auto: up to `resident_bytes`."""

    def __init__(
        self,
        labels: LabelSet,
        encoding: Encoding,
        device: torch.device,
        resident: str,
        resident_bytes: float,
    ) -> None:
        labels.check_identity()
        self.labels, self.encoding, self.device = labels, encoding, device
        self.resident, self.resident_bytes = resident, resident_bytes
        self.logits = self._open(LOGITS, descr(encoding.dtype), encoding.shape, row_bytes(encoding))
        self.embedding = self._open_embedding() if EMBEDDING in labels.parts else None

    def outputs(self, index: Tensor, view: Tensor) -> Outputs:
        """The teacher's, on the device, for samples and views on the host."""
        outputs = self.encoding.decode(upload(self.logits.take(index, view), self.device))
        if self.embedding is None:
            return outputs
        rows = upload(self.embedding.take(index, view), self.device)
        return replace(outputs, embedding=rows.view(torch.float16).float())

    def _open_embedding(self) -> Rows:
        first = next(iter(self.labels.train())).shard(EMBEDDING).seal()
        width: int = first.shape[1]
        return self._open(EMBEDDING, descr(EMBEDDING_DTYPE), (width,), width * EMBEDDING_DTYPE.itemsize)

    def _open(self, part: str, dtype: object, shape: Sequence[int], size: int) -> Rows:
        blocks = list(self.labels.train())
        opened = [Opened.of(block.shard(part), dtype, shape) for block in blocks]
        if self._fits(size * sum(block.rows for block in blocks)):
            return ResidentRows(opened, len(self.labels.data.train), size, self.device)
        return FileRows(opened, self.labels.block, size)

    def _fits(self, needed: int) -> bool:
        return self.resident == "true" or (self.resident == "auto" and needed <= self.resident_bytes)


def clean_logits(labels: LabelSet, encoding: Encoding, split: str) -> Tensor:
    """What the teacher said to the clean samples of a split, (samples, classes), float32, on the host.

    Raises `ArtifactError` where a row of them is missing or damaged.
    """
    labels.check_identity()
    opened = [
        Opened.of(block.shard(LOGITS), descr(encoding.dtype), encoding.shape) for block in labels.clean(split)
    ]
    size = row_bytes(encoding)
    rows = [torch.from_numpy(one.read().reshape(-1, size).copy()) for one in opened]
    return torch.cat([encoding.decode(one).logits for one in rows])
