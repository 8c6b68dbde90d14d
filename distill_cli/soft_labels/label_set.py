"""All soft labels of one teacher under one view recipe: a directory of shards, found by index. NumPy only.

The directory grows: more views or more samples add shards and touch no other. What belongs to it is decided by
its identity, written first; what is there, by the seals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from distill_cli.artifacts.files import read_json, write_json
from distill_cli.artifacts.keys import differences
from distill_cli.artifacts.store import Place
from distill_cli.data.splits import DataSet, Split
from distill_cli.data.views.clean import CLEAN
from distill_cli.errors import ArtifactError
from distill_cli.soft_labels.shards import FORMAT, Shard

IDENTITY = "labels.json"


@dataclass(frozen=True)
class LabelSet:
    """`views` stored views of every train sample, and the clean view of the rest."""

    place: Place
    data: DataSet
    views: int
    block: int
    mixes: bool  # a view then depends on the whole split, not on its own block alone

    def train(self) -> Iterator[Shard]:
        for view in range(self.views):
            yield from self._shards("train", view)

    def held_out(self) -> Iterator[Shard]:
        for split in ("validation", "test"):
            yield from self._shards(split, CLEAN)

    def shards(self) -> Iterator[Shard]:
        yield from self.train()
        yield from self.held_out()

    def missing(self) -> list[Shard]:
        """Shards without a seal of these very pictures."""
        return [shard for shard in self.shards() if not shard.is_sealed()]

    def is_complete(self) -> bool:
        return (self.place.directory / IDENTITY).is_file() and not self.missing()

    def write_identity(self) -> None:
        """Say whose labels these are, before the first of them. Raises `ArtifactError` if others lie here."""
        path = self.place.directory / IDENTITY
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            self.check_identity()
        else:
            write_json(path, self._document())

    def check_identity(self) -> None:
        """Raises `ArtifactError` naming the field that differs."""
        found = read_json(self.place.directory / IDENTITY)
        differing = differences(self._document(), found)
        if differing:
            raise ArtifactError(
                f"{self.place.directory} holds other soft labels ({differing[0]}); remove it and run again"
            )

    def _document(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "key": self.place.key,
            "identity": self.place.identity,
            "classes": list(self.data.classes),
        }

    def _shards(self, split: str, view: int) -> Iterator[Shard]:
        samples = self.data.splits[split]
        folder = self.place.directory / split / ("clean" if view == CLEAN else f"view-{view:03d}")
        for block, start in enumerate(range(0, len(samples), self.block)):
            stop = min(start + self.block, len(samples))
            digest = self._digests[split][block]
            yield Shard(folder / f"block-{block:05d}.npy", digest, start, stop, view)

    @cached_property
    def _digests(self) -> dict[str, list[str]]:
        """What each block's rows depend on, for each split; the same in all views."""
        digests = {name: self._blocks_of(split) for name, split in self.data.splits.items()}
        if self.mixes:
            whole = sha256("".join(digests["train"]).encode()).hexdigest()
            digests["train"] = [sha256((whole + block).encode()).hexdigest() for block in digests["train"]]
        return digests

    def _blocks_of(self, samples: Split) -> list[str]:
        starts = range(0, len(samples), self.block)
        return [samples.digest(start, min(start + self.block, len(samples))) for start in starts]
