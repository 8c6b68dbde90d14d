"""Weights that a user names, and what the artefact says of them in which they lie. No torch.

An artefact lists its files, those of a student's peers among them, and says which classes their rows are for and
which pictures they saw. A bare safetensors file says neither: how many classes it has is seen when it is loaded.

The digest of a file is the one that its artefact has, so that a command that has nothing to do need not read all
of it. Who loads the weights takes them from `verified`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from distill_cli.artifacts.files import sha256_of
from distill_cli.artifacts.store import MANIFEST, WEIGHTS, read_manifest, recorded_digest, verified
from distill_cli.errors import ArtifactError, ConfigError

SHOWN = 5  # names in a message
PREPROCESSING = ("mean", "std", "image_shape")


@dataclass(frozen=True)
class GivenWeights:
    what: str  # what was typed: `teacher.checkpoint=FILE`
    path: Path
    sha256: str
    is_recorded: bool = False  # it is a file of an artefact
    classes: tuple[str, ...] | None = None  # None: nobody has said
    preprocessing: Mapping[str, Any] | None = None  # mean, std and image_shape, as lists

    @classmethod
    def at(cls, path: Path, what: str) -> Self:
        """Raises `ArtifactError` where its artefact is damaged, as far as sizes tell."""
        manifest = read_manifest(path.parent) if (path.parent / MANIFEST).is_file() else {"files": {}}
        if path.name not in manifest["files"]:
            status = path.stat()
            return cls(what, path, _digest(path, status.st_size, status.st_mtime_ns))
        data, digest = manifest.get("data") or {}, recorded_digest(path.parent, path.name)
        classes = tuple(data["classes"]) if "classes" in data else None
        seen = {name: data[name] for name in PREPROCESSING} if data.keys() >= {*PREPROCESSING} else None
        return cls(what, path, digest, is_recorded=True, classes=classes, preprocessing=seen)

    @classmethod
    def typed(cls, checkpoint: str) -> Self:
        """The file that `teacher.checkpoint` names. Raises `ConfigError` where it is none."""
        path, what = Path(checkpoint), f"teacher.checkpoint={checkpoint}"
        if path.is_dir():
            raise ConfigError(f"{what} is a directory; name a file: {path / WEIGHTS}")
        if not path.is_file():
            raise ConfigError(f"{what}: there is no such file")
        return cls.at(path, what)

    @property
    def name(self) -> str:
        """For people: that of the artefact, and of the file where it is not its own."""
        directory, file = self.path.parent.name, self.path.name
        if not self.is_recorded:
            return file
        return directory if file == WEIGHTS else f"{directory}/{file}"

    def verified(self) -> Path:
        """The file, for who reads it. Raises `ArtifactError` where a byte is not what its artefact says."""
        return verified(self.path.parent, self.path.name) if self.is_recorded else self.path

    def refuse_other_classes(self, classes: Sequence[str]) -> None:
        """Raises `ArtifactError` where names or their order differ."""
        if self.classes is None or self.classes == tuple(classes):
            return
        theirs = self.classes
        if sorted(theirs) == sorted(classes):
            number = next(
                n for n, (one, other) in enumerate(zip(theirs, classes, strict=True)) if one != other
            )
            said = f"the same classes in another order: class {number} is {theirs[number]}, here {classes[number]}"
        else:
            said = f"other classes, {few(theirs)}; those here are {few(classes)}"
        raise ArtifactError(f"{self.what} has {said}; name a teacher of these classes")

    def refuse_other_pictures(self, now: Mapping[str, Any]) -> None:
        """Raises `ConfigError` where the model saw pictures of another shape, or normalised otherwise."""
        seen = self.preprocessing
        if seen is None:
            return
        if seen["image_shape"] != now["image_shape"]:
            then, here = ("×".join(map(str, of["image_shape"])) for of in (seen, now))
            raise ConfigError(f"{self.what} saw pictures of {then}, these are {here}; name one that saw such")
        refuse_other_normalisation(self.what, seen, now)


def refuse_other_normalisation(what: str, seen: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises `ConfigError` where the lists `mean` and `std` differ."""
    if (seen["mean"], seen["std"]) != (now["mean"], now["std"]):
        mean, std = (json.dumps(seen[name], separators=(",", ":")) for name in ("mean", "std"))
        raise ConfigError(
            f"{what} saw pictures normalised in another way; set data.mean={mean} data.std={std}"
        )


def few(names: Sequence[str]) -> str:
    """The first of them, in words."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


@cache
def _digest(path: Path, size: int, modified: int) -> str:
    """Of a file as it is now: one command asks for it more than once."""
    return sha256_of(path)
