"""Which shards a whole set of soft labels has, from the extent in its labels.json alone.

The layout is that of `soft_labels.label_set`, which knows the samples as well; a test holds the two together.
Here there is no NumPy, so that listing a cache stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distill_cli.data.views.clean import CLEAN

TRAIN = "train"
SPLITS = (TRAIN, "validation", "test")
LOGITS = "logits"
MOST_SHARDS = 10_000_000  # what asks for more is not ours


@dataclass(frozen=True)
class Slot:
    """Where one shard belongs, and the rows that belong there."""

    split: str  # train, validation, test
    part: str  # logits, embedding
    view: int
    number: int
    start: int
    stop: int

    @property
    def folder(self) -> str:
        """Below the directory of the set: train/view-000."""
        return f"{self.split}/" + ("clean" if self.view == CLEAN else f"view-{self.view:03d}")

    @property
    def file(self) -> str:
        return f"block-{self.number:05d}" + (".npy" if self.part == LOGITS else f".{self.part}.npy")

    @property
    def name(self) -> str:
        """Below the directory of the set."""
        return f"{self.folder}/{self.file}"

    @property
    def seal(self) -> str:
        return f"{self.name.removesuffix('.npy')}.json"


def slots(extent: Mapping[str, Any]) -> Iterator[Slot]:
    """Raises `ValueError` for an extent that no set of labels has."""
    _check(extent)
    block, wanted = extent["block"], extent["views"]
    for split in SPLITS:
        samples = extent["samples"].get(split, 0)
        for part, views in wanted.items():
            for view in range(views) if split == TRAIN else (CLEAN,):
                for number, start in enumerate(range(0, samples, block)):
                    yield Slot(split, part, view, number, start, min(start + block, samples))


def _check(extent: Any) -> None:
    match extent:
        case {"views": dict(views), "block": int(block), "samples": dict(samples)}:
            are_parts = all(isinstance(part, str) and re.fullmatch("[a-z_]+", part) for part in views)
            counts = [*samples.values(), *views.values()]
            are_counts = all(isinstance(count, int) and count >= 0 for count in counts)
            if set(samples) <= set(SPLITS) and block > 0 and are_parts and are_counts:
                folders = sum(views.values()) + len(views) * len(samples)
                if folders * (1 + max(samples.values(), default=0) // block) <= MOST_SHARDS:
                    return
    raise ValueError("impossible extent")
