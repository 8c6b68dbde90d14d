"""Running the teacher over what is missing, and nothing else.

The teacher sees the samples of a block in fixed batches that never cross it, so the bytes of a shard do not
depend on where a run was cut, or on who else writes. Values that are not finite, or beyond the encoding, stop
at the batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from distill_cli.data.batch import Batch
from distill_cli.data.loader import Loader
from distill_cli.data.views.clean import CLEAN
from distill_cli.errors import TrainingDiverged
from distill_cli.models.penultimate import Penultimate
from distill_cli.models.predict import predict
from distill_cli.runtime.device import Runtime
from distill_cli.soft_labels.encodings import Dense, Encoding
from distill_cli.soft_labels.encodings.error import measure
from distill_cli.soft_labels.label_set import EMBEDDING, LOGITS, Block

WRITERS = 4  # threads: hashing and syncing of several files overlap
MOST_PENDING = 5  # blocks in memory
MEASURED_ROWS = 256  # of a shard at most, evenly spread: what the encoding's error is measured on
MEASURED_LOGITS = 256_000  # at most, but for 16 rows


@dataclass(frozen=True)
class Labelled:
    """Rows of a block in memory."""

    block: Block
    rows: Mapping[str, np.ndarray]  # part to rows as they are stored
    encoding: Encoding
    sample: Tensor | None  # of the logits, on the host: what the encoding's error is measured on

    def sweep(self) -> None:
        for part in self.rows:
            self.block.shard(part).sweep()

    def write(self) -> None:
        error = None if self.sample is None else measure(self.encoding, self.sample)
        for part, rows in self.rows.items():
            self.block.shard(part).write(rows, error if part == LOGITS else None)


class WriteBehind:
    """Writes to disk while the teacher goes on. What was handed in is written, whatever happens later."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="soft labels")
        self.pending: deque[Future[None]] = deque()

    def submit(self, write: Callable[[], None]) -> None:
        """Waits while too much lies in memory. Raises what an earlier write ran into."""
        if len(self.pending) >= MOST_PENDING:
            self.pending.popleft().result()
        self.pending.append(self.pool.submit(write))

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(self, failed: object, *error: object) -> None:
        self.pool.shutdown(wait=True)
        while self.pending and not failed:
            self.pending.popleft().result()


@dataclass(frozen=True)
class Labeller:
    """A teacher in eval mode, and how its logits are stored."""

    teacher: nn.Module
    encoding: Encoding
    runtime: Runtime
    batch_size: int
    on_batch: Callable[[int], None]  # told how many samples are done; may raise to stop
    penultimate: Penultimate | None = None  # of the teacher, where embeddings are wanted

    def label(self, block: Block, parts: list[str], loader: Loader) -> Labelled:
        """What the teacher says of a block, ready to be written. `loader` is that of the block's split."""
        assert not self.teacher.training, "the teacher labels in eval mode"
        rows: dict[str, list[np.ndarray]] = {part: [] for part in parts}
        measured = []
        for batch in _batches(block, loader, self.batch_size):
            logits = predict(self.teacher, batch.inputs, self.runtime)
            _require_finite(logits, "logits", batch)
            if LOGITS in parts:
                rows[LOGITS].append(_encoded(self.encoding, logits, "logits", batch))
                is_measured = batch.index % _stride(block, logits.shape[1]) == 0
                measured.append(logits[is_measured.to(logits.device)])
            if EMBEDDING in parts:
                rows[EMBEDDING].append(self._embedding(batch))
            self.on_batch(len(batch))
        sample = torch.cat(measured).cpu() if measured else None
        joined = {part: np.concatenate(stored) for part, stored in rows.items()}
        return Labelled(block, joined, self.encoding, sample)

    def _embedding(self, batch: Batch) -> np.ndarray:
        assert self.penultimate is not None
        features = self.penultimate.take()
        _require_finite(features, "embeddings", batch)
        return _encoded(Dense("float16", features.shape[1]), features, "embeddings", batch)


def _stride(block: Block, classes: int) -> int:
    """Every how many rows one is measured."""
    return -(-block.rows // min(MEASURED_ROWS, max(16, MEASURED_LOGITS // classes)))


def _batches(block: Block, loader: Loader, batch_size: int) -> Iterator[Batch]:
    if block.view == CLEAN:
        return loader.clean(batch_size, block.start, block.stop)
    index = np.arange(block.start, block.stop)
    return loader.view(index, np.full_like(index, block.view), batch_size)


def _require_finite(values: Tensor, what: str, batch: Batch) -> None:
    finite = values.isfinite().all(dim=1)
    if not bool(finite.all()):
        raise TrainingDiverged(f"the teacher's {what} are not finite for {_samples(batch, ~finite)}")


def _encoded(encoding: Encoding, values: Tensor, what: str, batch: Batch) -> np.ndarray:
    try:
        return encoding.encode(values)
    except OverflowError as error:
        row, remedy = error.args
        where = _samples(batch, torch.arange(len(batch)) == int(row))
        raise TrainingDiverged(f"{what} beyond the encoding for {where}; {remedy}") from None


def _samples(batch: Batch, rows: Tensor) -> str:
    index = batch.index[rows.cpu()].tolist()
    view = int(batch.view[0])
    shown = ", ".join(map(str, index[:5])) + (", …" if len(index) > 5 else "")
    return f"samples {shown} ({'clean' if view == CLEAN else f'view {view}'})"
