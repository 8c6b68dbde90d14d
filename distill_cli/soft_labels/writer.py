"""Running the teacher over what is missing, and nothing else.

The teacher sees the samples of a block in fixed batches that never cross it, so the bytes of a shard do not
depend on where a run was cut. Values that are not finite, or beyond the encoding, stop at the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from distill_cli.data.batch import Batch
from distill_cli.data.loader import Loader
from distill_cli.data.views.clean import CLEAN
from distill_cli.errors import TrainingDiverged
from distill_cli.models.predict import predict
from distill_cli.runtime.device import Runtime
from distill_cli.soft_labels.encodings import Encoding
from distill_cli.soft_labels.shards import Shard


@dataclass(frozen=True)
class Labeller:
    """A teacher in eval mode, and how its logits are stored."""

    teacher: nn.Module
    encoding: Encoding
    runtime: Runtime
    batch_size: int
    on_batch: Callable[[int], None]  # told how many samples are done; may raise to stop

    def write(self, shards: Iterable[Shard], loader: Loader) -> None:
        """All shards of one split."""
        assert not self.teacher.training, "the teacher labels in eval mode"
        for shard in shards:
            rows = [self._rows(batch) for batch in self._batches(shard, loader)]
            shard.write(np.concatenate(rows))

    def _batches(self, shard: Shard, loader: Loader) -> Iterator[Batch]:
        if shard.view == CLEAN:
            return loader.clean(self.batch_size, shard.start, shard.stop)
        index = np.arange(shard.start, shard.stop)
        return loader.view(index, np.full_like(index, shard.view), self.batch_size)

    def _rows(self, batch: Batch) -> np.ndarray:
        logits = predict(self.teacher, batch.inputs, self.runtime)
        finite = logits.isfinite().all(dim=1)
        if not bool(finite.all()):
            raise TrainingDiverged(f"the teacher's logits are not finite for {_samples(batch, ~finite)}")
        try:
            rows = self.encoding.encode(logits)
        except OverflowError as error:
            row = int(error.args[0])
            where = _samples(batch, torch.arange(len(batch)) == row)
            raise TrainingDiverged(
                f"logits beyond the encoding for {where}; use soft_labels=float32"
            ) from None
        self.on_batch(len(batch))
        return rows


def _samples(batch: Batch, rows: Tensor) -> str:
    index = batch.index[rows.cpu()].tolist()
    view = int(batch.view[0])
    shown = ", ".join(map(str, index[:5])) + (", …" if len(index) > 5 else "")
    return f"samples {shown} ({'clean' if view == CLEAN else f'view {view}'})"
