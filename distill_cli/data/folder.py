"""Pictures in class folders: `train/<class>/**`, with `val/` (or `validation/`) and `test/` beside `train/`.

What is held out: `test/` where there is one, else `val/` (one held-out part is what figures are reported
on; validation then comes out of train), else a share of everything, chosen by a hash of each picture's path.
Without `train/`, the class folders lie directly in the folder. Samples are sorted by class, then by path.

New pictures in a folder of their own, `data.path=[OLD,NEW]`, come after all the old ones, so that these keep their
numbers, their views and their soft labels. In the old folder they would move what is sorted behind them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill_cli.data.file_index import Check, Facts, index_files
from distill_cli.data.holdout import hold_out_test
from distill_cli.data.pictures import MAX_PIXELS, PictureSplit, problem_of
from distill_cli.data.splits import RawSets, Split
from distill_cli.errors import ConfigError, DataError

Picture = tuple[str, str, str]  # its name, its sha256, its class
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def load(
    root: Path,
    path: str | Sequence[str] | None,
    size: int,
    channels: int = 3,
    on_error: str = "fail",
    test: float = 0.1,
    max_pixels: int = MAX_PIXELS,
    crop: float = 1.0,
    cache: Path | None = None,
) -> RawSets:
    """Find the pictures under `root/path`, or under several; they are decoded later, one by one.

    With `on_error="skip"` all of them are decoded now, and the bad ones left out and listed in `skipped`.
    `cache` is a directory for what is known of the files, so that they are read once. Raises `DataError`
    where the folders are not as they should be, or a file cannot be read.
    """
    _check(size, channels, on_error, max_pixels, crop)
    folders = _together([_base(root, name) for name in _paths(path)])
    classes = tuple(sorted({name for folder in folders["train"] for name in _class_names(folder)}))
    reader = _Reader(classes, size, channels, on_error, max_pixels, crop, cache)
    found = {part: reader.read(these) for part, these in folders.items()}
    parts: dict[str, Split] = {part: split for part, (split, _) in found.items()}
    skipped = tuple(path for _, paths in found.values() for path in paths)
    for name, samples in zip(reader.classes, reader.count(parts["train"]), strict=True):
        if not samples:
            empty = next(folder / name for folder in folders["train"] if (folder / name).is_dir())
            raise DataError(f"{empty} has no readable picture ({' '.join(SUFFIXES)})")
    if "test" not in parts:
        parts["train"], parts["test"] = hold_out_test(parts["train"], test)
    return RawSets(reader.classes, **parts, skipped=skipped)


@dataclass(frozen=True)
class _Reader:
    """From folders of class folders to a split. Names are relative to the first of them."""

    classes: tuple[str, ...]
    size: int
    channels: int
    on_error: str
    max_pixels: int
    crop: float
    cache: Path | None

    def read(self, folders: Sequence[Path]) -> tuple[PictureSplit, tuple[Path, ...]]:
        good: list[Picture] = []
        bad: list[Path] = []
        for folder in folders:
            above = "" if folder == folders[0] else f"{Path(os.path.relpath(folder, folders[0])).as_posix()}/"
            for name, facts in self._files(folder):
                if facts.problem:
                    bad.append(folder / name)
                else:
                    good.append((above + name, facts.sha256, name.partition("/")[0]))
        return self._split(folders[0], good), tuple(bad)

    def _files(self, folder: Path) -> list[tuple[str, Facts]]:
        """By class and path. Raises `DataError` for what is no picture, unless it is to be skipped."""
        unknown = sorted(set(_class_names(folder)) - set(self.classes))
        if unknown:
            raise DataError(
                f"{folder / unknown[0]} is a class that has no folder among the training pictures"
            )
        names = [name for label in self.classes for name in sorted(_walk(folder / label, label))]
        found = list(zip(names, index_files(folder, names, self.check, self.cache), strict=True))
        bad = next(((name, facts.problem) for name, facts in found if facts.problem), None)
        if bad and self.on_error == "fail":
            raise DataError(f"cannot read {folder / bad[0]}: {bad[1]}; remove it, or set data.on_error=skip")
        return found

    @property
    def check(self) -> Check | None:
        if self.on_error == "fail":
            return None
        rule = f"pillow {version('pillow')}, up to {self.max_pixels} pixels"
        return Check(rule, lambda content: problem_of(content, self.max_pixels))

    def count(self, split: Split) -> NDArray[np.int64]:
        """How many samples each class has."""
        return np.bincount(split.labels, minlength=len(self.classes))

    def _split(self, folder: Path, pictures: Sequence[Picture]) -> PictureSplit:
        numbers = {name: number for number, name in enumerate(self.classes)}
        digests = "".join(sha256 for _, sha256, _ in pictures)
        return PictureSplit(
            folder,
            names=np.array([name for name, _, _ in pictures], np.object_),
            hashes=np.frombuffer(bytes.fromhex(digests), np.uint8).reshape(-1, 32),
            labels=np.array([numbers[label] for _, _, label in pictures], np.int64),
            size=self.size,
            channels=self.channels,
            max_pixels=self.max_pixels,
            crop=self.crop,
        )


def _check(size: int, channels: int, on_error: str, max_pixels: int, crop: float) -> None:
    if on_error not in ("fail", "skip"):
        raise ConfigError(f"data.on_error={on_error} must be fail or skip")
    if channels not in (1, 3):
        raise ConfigError(f"data.channels={channels} must be 1 (grey) or 3 (colour)")
    for name, value in (("size", size), ("max_pixels", max_pixels)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"data.{name}={value} must be a whole number of pixels")
    if isinstance(crop, bool) or not isinstance(crop, int | float) or not 0 < crop <= 1:
        raise ConfigError(f"data.crop={crop} must be a number above 0, up to 1")


def _paths(path: str | Sequence[str] | None) -> Sequence[str]:
    paths = [path] if isinstance(path, str) else list(path or [])
    if not paths or not all(isinstance(one, str) and one for one in paths):
        raise ConfigError("no folder is named: set data.path=FOLDER (relative to paths.data, or absolute)")
    if len(set(paths)) < len(paths):
        raise ConfigError(f"data.path=[{','.join(paths)}] names a folder twice")
    return paths


def _base(root: Path, path: str) -> Path:
    if not (root / path).is_dir():
        raise DataError(f"no folder {root / path}; put the pictures there, or set data.path or paths.data")
    return root / path


def _together(bases: Sequence[Path]) -> dict[str, list[Path]]:
    """The folders of each part, in the order in which they were named."""
    found = [_folders(base) for base in bases]
    for base, folders in zip(bases, found, strict=True):
        other = [folders[part] for part in folders if part not in found[0]]
        if other:
            raise DataError(
                f"{bases[0]} has no such part as {other[0]}; hold the same parts out in both, or put all of "
                f"{base.name} into {base / 'train'}"
            )
    return {part: [folders[part] for folders in found if part in folders] for part in found[0]}


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
