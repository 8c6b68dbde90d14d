"""The student that another one goes on from, `student.init`: what is known of it before torch is imported.

A bare safetensors file is believed to have the classes of the data set, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_cli.artifacts.given_weights import GivenWeights, few
from distill_cli.artifacts.store import WEIGHTS
from distill_cli.errors import ConfigError

KEY = "student.init"


@dataclass(frozen=True)
class FormerStudent:
    weights: GivenWeights

    @classmethod
    def at(cls, typed: str) -> FormerStudent:
        """Raises `ConfigError` where there is none, `ArtifactError` where it is damaged."""
        path, what = Path(typed), f"{KEY}={typed}"
        if not path.exists():
            raise ConfigError(f"{what} is not there; put it back, or name another student's artefact")
        weights = path / WEIGHTS if path.is_dir() else path
        if not weights.is_file():
            raise ConfigError(f"{what} holds no {WEIGHTS}; name a student's artefact")
        return cls(GivenWeights.at(weights, what))

    def knows(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The class of each of its logits, where those of the data set are `classes`."""
        return tuple(classes) if self.weights.classes is None else self.weights.classes

    def columns(self, classes: Sequence[str]) -> tuple[int | None, ...]:
        """For each of its logits the number of that class now; None: the class is gone."""
        numbers = {name: number for number, name in enumerate(classes)}
        return tuple(numbers.get(name) for name in self.knows(classes))

    def identity(self, classes: Sequence[str]) -> dict[str, Any]:
        """What a student that goes on from it depends on: equal weights may be for other classes."""
        return {"weights": self.weights.sha256, "classes": list(self.knows(classes))}

    def check(self, classes: Sequence[str], preprocessing: Mapping[str, Any]) -> None:
        """Raises `ConfigError` where it has seen other pictures, or knows nothing of these."""
        self.weights.refuse_other_pictures(preprocessing)
        if all(column is None for column in self.columns(classes)):
            known = few(self.knows(classes))
            raise ConfigError(
                f"{self.weights.what} knows none of the classes {few(classes)}: its own are {known}"
            )
