"""Pictures in class folders: `train/<class>/**`, with `val/` (or `validation/`) and `test/` beside `train/`.

What is held out: `test/` where there is one, else `val/` (one held-out part is what figures are reported
on; validation then comes out of train), else a share of everything, chosen by a hash of each picture's path.
Without `train/`, the class folders lie directly in the folder. Samples are sorted by class, then by path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill_cli.data.file_index import Check, index_files
from distill_cli.data.holdout import hold_out_test
from distill_cli.data.pictures import MAX_PIXELS, PictureSplit, problem_of
from distill_cli.data.splits import RawSets, Split
from distill_cli.errors import ConfigError, DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def load(
    root: Path,
    path: str | None,
    size: int,
    channels: int = 3,
    on_error: str = "fail",
    test: float = 0.1,
    max_pixels: int = MAX_PIXELS,
    cache: Path | None = None,
) -> RawSets:
    """Find the pictures under `root/path`; they are decoded later, one by one.

    With `on_error="skip"` all of them are decoded now, and the bad ones left out and listed in `skipped`.
    `cache` is a directory for what is known of the files, so that they are read once. Raises `DataError`
    where the folders are not as they should be, or a file cannot be read.
    """
    _check(size, channels, on_error, max_pixels)
    folders = _folders(_base(root, path))
    reader = _Reader(_class_names(folders["train"]), size, channels, on_error, max_pixels, cache)
    found = {part: reader.read(folder) for part, folder in folders.items()}
    parts: dict[str, Split] = {part: split for part, (split, _) in found.items()}
    skipped = tuple(path for _, paths in found.values() for path in paths)
    for name, samples in zip(reader.classes, reader.count(parts["train"]), strict=True):
        if not samples:
            raise DataError(f"{folders['train'] / name} has no readable picture ({' '.join(SUFFIXES)})")
    if "test" not in parts:
        parts["train"], parts["test"] = hold_out_test(parts["train"], test)
    return RawSets(reader.classes, **parts, skipped=skipped)


@dataclass(frozen=True)
class _Reader:
    """From one folder of class folders to a split."""

    classes: tuple[str, ...]
    size: int
    channels: int
    on_error: str
    max_pixels: int
    cache: Path | None

    def read(self, folder: Path) -> tuple[PictureSplit, tuple[Path, ...]]:
        unknown = sorted(set(_class_names(folder)) - set(self.classes))
        if unknown:
            raise DataError(
                f"{folder / unknown[0]} is a class that has no folder among the training pictures"
            )
        names = [name for label in self.classes for name in sorted(_walk(folder / label, label))]
        facts = index_files(folder, names, self.check, self.cache)
        bad = tuple(folder / name for name, fact in zip(names, facts, strict=True) if fact.problem)
        if bad and self.on_error == "fail":
            problem = next(fact.problem for fact in facts if fact.problem)
            raise DataError(f"cannot read {bad[0]}: {problem}; remove it, or set data.on_error=skip")
        good = {name: fact.sha256 for name, fact in zip(names, facts, strict=True) if not fact.problem}
        return self._split(folder, good), bad

    @property
    def check(self) -> Check | None:
        if self.on_error == "fail":
            return None
        rule = f"pillow {version('pillow')}, up to {self.max_pixels} pixels"
        return Check(rule, lambda content: problem_of(content, self.max_pixels))

    def count(self, split: Split) -> NDArray[np.int64]:
        """How many samples each class has."""
        return np.bincount(split.labels, minlength=len(self.classes))

    def _split(self, folder: Path, hashes: dict[str, str]) -> PictureSplit:
        numbers = {name: number for number, name in enumerate(self.classes)}
        return PictureSplit(
            folder,
            names=np.array(list(hashes), np.object_),
            hashes=np.frombuffer(bytes.fromhex("".join(hashes.values())), np.uint8).reshape(-1, 32),
            labels=np.array([numbers[name.partition("/")[0]] for name in hashes], np.int64),
            size=self.size,
            channels=self.channels,
            max_pixels=self.max_pixels,
        )


def _check(size: int, channels: int, on_error: str, max_pixels: int) -> None:
    if on_error not in ("fail", "skip"):
        raise ConfigError(f"data.on_error={on_error} must be fail or skip")
    if channels not in (1, 3):
        raise ConfigError(f"data.channels={channels} must be 1 (grey) or 3 (colour)")
    for name, value in (("size", size), ("max_pixels", max_pixels)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"data.{name}={value} must be a whole number of pixels")


def _base(root: Path, path: str | None) -> Path:
    if not path:
        raise ConfigError("no folder is named: set data.path=FOLDER (relative to paths.data, or absolute)")
    if not (root / path).is_dir():
        raise DataError(f"no folder {root / path}; put the pictures there, or set data.path or paths.data")
    return root / path


def _folders(base: Path) -> dict[str, Path]:
    """Where the train, validation and test parts lie, as far as there are such folders."""
    names = {"train": ("train",), "validation": ("val", "validation"), "test": ("test",)}
    found = {part: base / name for part, these in names.items() for name in these if (base / name).is_dir()}
    if "validation" in found and "test" not in found:
        found["test"] = found.pop("validation")
    if found and "train" not in found:
        raise DataError(f"{base} has {found['test'].name}/ but no train/")
    return found or {"train": base}


def _class_names(folder: Path) -> tuple[str, ...]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name))
    if not names:
        raise DataError(f"{folder} has no class folders")
    return tuple(names)


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[str]:
    """Pictures below the folder, as `prefix/…`. A link to a folder in which it lies is not followed."""
    if not folder.is_dir():
        return
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in os.scandir(folder):
        if _is_hidden(entry.name):
            continue
        if Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir():
            yield from _walk(Path(entry.path), f"{prefix}/{entry.name}", above | {here})
        elif entry.name.lower().endswith(SUFFIXES):
            yield f"{prefix}/{entry.name}"


def _is_hidden(name: str) -> bool:
    return (
        name.startswith(".") or name == "__MACOSX"
    )  # "._name" is where macOS keeps what a file system cannot
