"""All soft labels of one teacher under one view recipe: a directory of shards, found by index. NumPy only.

The directory grows: more views or more samples add shards and touch no other. What belongs to it is decided by
its identity, written first; what is there, by the seals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import (
    CorruptDocumentError,
    make_directory,
    read_sealed_json,
    sweep_temporary,
    write_sealed_json,
)
from distill_cli.artifacts.keys import differences
from distill_cli.artifacts.store import Place
from distill_cli.data.splits import DataSet, Split
from distill_cli.data.views.clean import CLEAN
from distill_cli.errors import ArtifactError
from distill_cli.soft_labels.shards import FORMAT, Shard

IDENTITY = "labels.json"
MAKES = "distill gen-soft-labels"
LOGITS, EMBEDDING = "logits", "embedding"  # what a teacher leaves of a block


@dataclass(frozen=True)
class Block:
    """A run of samples in one view: what the teacher sees at a time."""

    folder: Path
    number: int
    split: str
    labels: str  # key of the label set
    samples: str  # digest of what the teacher sees
    start: int
    stop: int
    view: int

    @property
    def name(self) -> str:
        return f"{self.split}/{self.folder.name}/{self.number}"

    @property
    def rows(self) -> int:
        return self.stop - self.start

    def shard(self, part: str) -> Shard:
        name = f"block-{self.number:05d}" + (".npy" if part == LOGITS else f".{part}.npy")
        where = (self.split, part, self.view, self.start, self.stop)
        return Shard(self.folder / name, self.labels, *where, samples=self.samples)


@dataclass(frozen=True)
class LabelSet:
    """`views` stored views of every train sample, and the clean view of the rest."""

    place: Place
    data: DataSet
    views: int
    block: int
    mixes: bool  # a view then depends on the whole split, not on its own block alone
    parts: tuple[str, ...] = (LOGITS,)

    def train(self) -> Iterator[Block]:
        for view in range(self.views):
            yield from self._blocks("train", view)

    def clean(self, split: str) -> Iterator[Block]:
        """Those of the view without augmentation: of the validation or the test samples."""
        return self._blocks(split, CLEAN)

    def blocks(self) -> Iterator[Block]:
        yield from self.train()
        for split in ("validation", "test"):
            yield from self.clean(split)

    def shards(self) -> Iterator[Shard]:
        for block in self.blocks():
            yield from (block.shard(part) for part in self.parts)

    def unsealed(self, block: Block) -> list[str]:
        """The parts of a block that are not there for these very pictures."""
        return [part for part in self.parts if not block.shard(part).is_sealed()]

    def missing(self) -> list[Block]:
        return [block for block in self.blocks() if self.unsealed(block)]

    def lack_only(self, part: str) -> bool:
        """Whether they are whole but for a part that nobody has asked for yet."""
        lacking = {each for block in self.missing() for each in self.unsealed(block)}
        return lacking == {part} and not any(block.shard(part).is_sealed() for block in self.blocks())

    def is_complete(self) -> bool:
        """Raises `ArtifactError` where labels.json is of another set. A damaged one is not there."""
        return self._is_begun() and not self.missing()

    def has_clean(self, split: str) -> bool:
        """Whether the teacher's logits for the clean samples of a split are all there. Raises as `is_complete`."""
        return self._is_begun() and all(block.shard(LOGITS).is_sealed() for block in self.clean(split))

    def _is_begun(self) -> bool:
        try:
            self.check_identity()
        except CorruptDocumentError:
            return False
        except ArtifactError:
            if (self.place.directory / IDENTITY).exists():
                raise
            return False
        return True

    def write_identity(self) -> None:
        """Say whose labels these are, before the first of them. Only for who holds the set's lock.

        Raises `ArtifactError` if others lie here.
        """
        path = self.place.directory / IDENTITY
        sweep_temporary(path.parent, path.name)
        found = self._written_extent() if path.exists() else None
        document = {**self._document(), "extent": self._extent(found)}
        if found != document["extent"]:
            make_directory(path.parent)
            write_sealed_json(path, document)

    def _written_extent(self) -> dict[str, Any] | None:
        """None where labels.json is damaged: it follows from the config, and each seal says whose it is."""
        try:
            extent: dict[str, Any] = self.check_identity()["extent"]
        except CorruptDocumentError:
            return None
        return extent

    def check_identity(self) -> dict[str, Any]:
        """The content of labels.json. Raises `ArtifactError` naming the field that differs."""
        path = self.place.directory / IDENTITY
        document = self._document()
        found = read_sealed_json(path, remedy=f"remove it and run {MAKES} again")
        differing = differences(document, {name: found.get(name) for name in document})
        if differing:
            raise ArtifactError(
                f"{self.place.directory} holds other soft labels ({differing[0]}); remove it and run again"
            )
        return found

    def _document(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "key": self.place.key,
            "identity": self.place.identity,
            "classes": list(self.data.classes),
        }

    def _extent(self, found: dict[str, Any] | None) -> dict[str, Any]:
        """What has been asked for so far: it grows, but for samples that are no longer there."""
        before = found["views"] if found else {}
        return {
            "views": {**before, **{part: max(self.views, before.get(part, 0)) for part in self.parts}},
            "block": self.block,
            "samples": {name: len(split) for name, split in self.data.splits.items()},
        }

    def _blocks(self, split: str, view: int) -> Iterator[Block]:
        samples = len(self.data.splits[split])
        folder = self.place.directory / split / ("clean" if view == CLEAN else f"view-{view:03d}")
        for number, start in enumerate(range(0, samples, self.block)):
            digest = self._digests[split][number]
            stop = min(start + self.block, samples)
            yield Block(folder, number, split, self.place.key, digest, start, stop, view)

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
