"""An earlier report that today's student is held against: `gates.reference`. No torch.

Read and checked before anything is trained. Today's accuracy may not lie below the lower end of the 95 % interval
(Wilson) that the reference states for its own: what is closer than that, other test pictures may turn round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.store import MANIFEST, verified
from distill_cli.errors import ArtifactError, ConfigError
from distill_cli.evaluation.report import REPORT, SCHEMA


@dataclass(frozen=True)
class MeasuredOn:
    """The test part that an accuracy is of. A report has one digest for the labels of all parts, so other test
    labels are told by how many samples each class has.
    """

    data: str  # as the report names it, with the number of test pictures
    pictures: str  # sha256
    classes: str  # sha256 of their names
    samples: tuple[int, ...]  # of each class

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> MeasuredOn:
        """Raises `KeyError`, `TypeError` or `ValueError` where the report does not say."""
        (student,) = (step for step in report["provenance"] if step["role"] == "student")
        data = student["identity"]["data"]
        samples = tuple(int(one["samples"]) for one in report["per_class"])
        return cls(str(report["settings"]["data"]), data["test"], data["classes"], samples)

    def otherwise(self, other: MeasuredOn) -> Iterator[str]:
        """What of `other`, a part of the same name, is not the same."""
        if self.pictures != other.pictures:
            yield "test pictures"
        if self.classes != other.classes:
            yield "class names"
        if self.samples != other.samples:
            yield "test labels"


@dataclass(frozen=True)
class Reference:
    path: str  # as typed
    top1: float
    low: float  # the lower end of its interval
    on: MeasuredOn

    @classmethod
    def read(cls, path: str) -> Reference:
        """From a report.json, or a directory that holds one.

        Raises `ConfigError` where there is none, and `ArtifactError` where it is damaged or of another schema.
        """
        report = _checked(path, read_json(_file(path), "take another one for gates.reference"))
        try:
            student = report["models"]["student"]
            low, _ = map(_share, student["top1_interval"])
            return cls(path, _share(student["top1"]), low, MeasuredOn.of(report))
        except (KeyError, TypeError, ValueError):
            raise ArtifactError(
                f"gates.reference={path}: a report without the student's top1_interval, or without what it was "
                "measured on; make it again with distill evaluate"
            ) from None

    def require(self, on: MeasuredOn) -> None:
        """Raises `ConfigError` where the reference was measured on anything but that."""
        if self.on == on:
            return
        if self.on.data != on.data:
            measured = f"{self.on.data}, and here it is {on.data}"
        else:
            measured = f"other {' and '.join(self.on.otherwise(on))} of {on.data.partition(',')[0]}"
        raise ConfigError(
            f"gates.reference={self.path}: measured on {measured}; "
            "accuracies of different test parts cannot be compared"
        )


def _share(value: Any) -> float:
    """Raises `ValueError` for what is no number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(value)
    return float(value)


def _file(path: str) -> Path:
    place = Path(path)
    if place.is_file():
        return place
    if not place.is_dir():
        raise ConfigError(
            f"gates.reference={path}: there is no such file; reports are in artifacts/evaluations/*"
        )
    if not (place / REPORT).is_file():
        raise ConfigError(
            f"gates.reference={path}: there is no {REPORT} in it; they are in artifacts/evaluations/*"
        )
    return verified(place, REPORT) if (place / MANIFEST).is_file() else place / REPORT


def _checked(path: str, found: Any) -> Mapping[str, Any]:
    if isinstance(found, dict) and "stage" in found:
        raise ConfigError(
            f"gates.reference={path}: a result, and no report; take {found.get('artifact', '')}/{REPORT}"
        )
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema is None or "models" not in found:
        raise ArtifactError(f"gates.reference={path}: not a report of distill evaluate")
    if schema != SCHEMA:
        raise ArtifactError(
            f"gates.reference={path} is a report of schema {schema}; this version reads schema {SCHEMA}: "
            "make it again with distill evaluate"
        )
    return found  # type: ignore[no-any-return]
