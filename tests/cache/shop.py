"""Making artefacts as a run leaves them, and ageing, damaging and looking after them."""

import os
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from distill_cli.artifacts.files import write_sealed_json
from distill_cli.artifacts.store import Place
from distill_cli.cli import app
from distill_cli.soft_labels.shards import Shard

BLOCK, VIEWS, SAMPLES = 8, 2, {"train": 20, "validation": 5, "test": 5}


@dataclass(frozen=True)
class Shop:
    root: Path

    def place(self, kind: str, label: str, **identity) -> Place:
        return Place(self.root, kind, label, identity)

    def published(self, place: Place, content: bytes = b"weights") -> Place:
        return self.published_with(place, {"model.safetensors": content})

    def published_with(self, place: Place, files: dict[str, bytes]) -> Place:
        self.unfinished(place)
        for name, content in files.items():
            (place.work / name).write_bytes(content)
        place.publish({"metrics": {}})
        return place

    def unfinished(self, place: Place) -> Place:
        place.work.mkdir(parents=True)
        (place.work / "checkpoint.pt").write_bytes(b"half a model")
        return place

    def teacher(self, seed: int = 0) -> Place:
        return self.published(self.place("teachers", "cnn-digits", stage="teacher", seed=seed))

    def imported(self, content: bytes, name: str = "mine") -> Place:
        """A teacher that was brought in, as a file of these bytes."""
        checkpoint = sha256(content).hexdigest()
        identity = {"stage": "teacher", "checkpoint": checkpoint, "model": name}
        return self.published(self.place("teachers", "cnn-digits", **identity), content)

    def gone_on(self, content: bytes, own: bytes = b"grown", seed: int = 0) -> Place:
        """A student that began with a file of these bytes, and learned from labels alone."""
        init = {"weights": sha256(content).hexdigest(), "classes": ["a", "b"]}
        place = self.place("students", "mlp-digits-alone", seed=seed, init=init, distillation=None)
        return self.published(place, own)

    def labels(self, teacher: Place, *, views: int = VIEWS, parts=("logits",), samples=None) -> Place:
        """A whole set: every block of every view."""
        place = self.place("soft_labels", "cnn-shift", stage="soft_labels", teacher=teacher.key)
        extent = {"views": dict.fromkeys(parts, views), "block": BLOCK, "samples": samples or SAMPLES}
        self.write_extent(place, extent)
        for shard, part in shards(place, extent):
            width = 3 if part == "logits" else 6
            shard.write(np.full((shard.rows, width), shard.start + shard.view, np.float32))
        return place

    def write_extent(self, place: Place, extent) -> None:
        place.directory.mkdir(parents=True, exist_ok=True)
        document = {"format": 1, "key": place.key, "identity": place.identity, "classes": ["a", "b", "c"]}
        write_sealed_json(place.directory / "labels.json", {**document, "extent": extent})

    def student(self, labels=None, teacher=None, seed: int = 0) -> Place:
        """Taught by soft labels, by a teacher beside it (or several of either), or by neither."""
        taught = None
        if labels or teacher:
            taught = {"soft_labels": keys(labels)} if labels else {"teacher": keys(teacher)}
        return self.published(self.place("students", "mlp-digits", seed=seed, distillation=taught))

    def evaluation(self, student: Place, teacher: Place, baseline: Place | None = None) -> Place:
        keys = {"student": student.key, "teacher": teacher.key, "baseline": baseline and baseline.key}
        return self.published(self.place("evaluations", "mlp-digits", **keys))

    def age(self, days: float, *places: Place) -> None:
        """As if nobody had written to them, or to anything, for so long."""
        then = time.time() - 86400 * days
        folders = [folder for place in places for folder in (place.directory, place.work)] or [self.root]
        for folder in folders:
            for path in (folder, *folder.rglob("*")) if folder.exists() else ():
                os.utime(path, (then, then))

    def look_after(self, *words: str, at: Path | None = None):
        """`distill cache …` within this process: exit_code, stdout, stderr."""
        return CliRunner().invoke(app, ["cache", *words, "--artifacts", str(at or self.root)])

    def contents(self) -> dict[str, bytes]:
        """Every file but the locks."""
        found = (
            path for path in sorted(self.root.rglob("*")) if path.is_file() and ".locks" not in path.parts
        )
        return {str(path.relative_to(self.root)): path.read_bytes() for path in found}


def keys(places: Place | list[Place]) -> str | list[str]:
    return [place.key for place in places] if isinstance(places, list) else places.key


def shards(place: Place, extent):
    for part, views in extent["views"].items():
        folders = [("train", f"view-{view:03d}", view) for view in range(views)]
        for split, folder, view in [*folders, ("validation", "clean", -1), ("test", "clean", -1)]:
            for number, start in enumerate(range(0, extent["samples"][split], extent["block"])):
                stop = min(start + extent["block"], extent["samples"][split])
                ending = ".npy" if part == "logits" else f".{part}.npy"
                path = place.directory / split / folder / f"block-{number:05d}{ending}"
                yield Shard(path, place.key, split, part, view, start, stop, f"{split}-{number}"), part


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
