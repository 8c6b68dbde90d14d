"""The student that another one goes on from, `student.init`: what is known of it before torch is imported.

An artefact says which classes its rows are for and which pictures it saw. A bare safetensors file says neither: it
is believed to have the classes of the data set, in their order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import sha256_of
from distill_cli.artifacts.store import MANIFEST, WEIGHTS, read_manifest, verified
from distill_cli.errors import ConfigError

KEY = "student.init"


@dataclass(frozen=True)
class FormerStudent:
    typed: str
    weights: Path
    sha256: str
    classes: tuple[str, ...] | None  # None: nobody has said
    preprocessing: Mapping[str, Any] | None  # mean, std and image_shape, as lists

    @classmethod
    def at(cls, typed: str) -> FormerStudent:
        """Raises `ConfigError` where there is none, `ArtifactError` where it is damaged."""
        path = Path(typed)
        weights = path / WEIGHTS if path.is_dir() else path
        if not weights.is_file():
            raise ConfigError(f"{KEY}={typed}: holds no {WEIGHTS}; name a student's artefact")
        directory = weights.parent
        if weights.name != WEIGHTS or not (directory / MANIFEST).is_file():
            return cls(typed, weights, sha256_of(weights), None, None)
        manifest = read_manifest(directory)
        data = manifest["data"]
        preprocessing = {name: data[name] for name in ("mean", "std", "image_shape")}
        found, digest = verified(directory, WEIGHTS), manifest["files"][WEIGHTS]["sha256"]
        return cls(typed, found, digest, tuple(data["classes"]), preprocessing)

    @property
    def name(self) -> str:
        """For people."""
        return self.weights.parent.name if self.classes else self.weights.name

    def knows(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The class of each of its logits, where those of the data set are `classes`."""
        return tuple(classes) if self.classes is None else self.classes

    def columns(self, classes: Sequence[str]) -> tuple[int | None, ...]:
        """For each of its logits the number of that class now; None: the class is gone."""
        numbers = {name: number for number, name in enumerate(classes)}
        return tuple(numbers.get(name) for name in self.knows(classes))

    def identity(self, classes: Sequence[str]) -> dict[str, Any]:
        """What a student that goes on from it depends on: equal weights may be for other classes."""
        return {"weights": self.sha256, "classes": list(self.knows(classes))}

    def check(self, classes: Sequence[str], preprocessing: Mapping[str, Any]) -> None:
        """Raises `ConfigError` where it has seen other pictures, or knows nothing of these."""
        if self.preprocessing is not None:
            self._check_preprocessing(self.preprocessing, preprocessing)
        if all(column is None for column in self.columns(classes)):
            known = _few(self.knows(classes))
            raise ConfigError(
                f"{KEY}={self.typed} knows none of the classes {_few(classes)}: its own are {known}"
            )

    def _check_preprocessing(self, seen: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        if seen["image_shape"] != now["image_shape"]:
            then, here = ("×".join(map(str, of["image_shape"])) for of in (seen, now))
            raise ConfigError(f"{KEY}={self.typed} saw pictures of {then}, these are {here}; it cannot go on")
        if (seen["mean"], seen["std"]) != (now["mean"], now["std"]):
            mean, std = (json.dumps(seen[name], separators=(",", ":")) for name in ("mean", "std"))
            raise ConfigError(
                f"{KEY}={self.typed} saw pictures normalised in another way; "
                f"set data.mean={mean} data.std={std}"
            )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
