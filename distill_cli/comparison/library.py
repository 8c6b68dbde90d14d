"""The artefacts that students belong with, found by their keys: teachers, labels, baselines, reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import read_json, read_sealed_json
from distill_cli.artifacts.store import MANIFEST, read_manifest, verified
from distill_cli.cache.documents import DIGITS, LABELS
from distill_cli.comparison.students import Student, read_student
from distill_cli.errors import ArtifactError
from distill_cli.evaluation.report import REPORT
from distill_cli.runtime.console import say

EVALUATIONS, SOFT_LABELS = "evaluations", "soft_labels"
ROLES = ("student", "baseline", "teacher")


@dataclass(frozen=True)
class Measured:
    """What a report says of one model, and of the teacher in it, and on which device that was."""

    figures: Mapping[str, Any]
    device: str
    teacher: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Library:
    """Several artifacts directories; the first that has something wins. Each artefact is read once.

    `given` are models that the user named: they may lie anywhere.
    """

    roots: tuple[Path, ...]
    given: Mapping[str, Student] = field(default_factory=dict)  # by key
    _names: dict[tuple[Path, str], dict[str, Path]] = field(default_factory=dict, repr=False)
    _read: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    def find(self, kind: str, key: str) -> Path | None:
        """By the digits that a name ends with, as the other verbs find it."""
        places = (self._index(root, kind).get(key[:DIGITS]) for root in self.roots)
        return next((place for place in places if place is not None), None)

    def model(self, kind: str, key: str) -> Student | None:
        """A student or a teacher; None where it is not there. Raises `ArtifactError` for a damaged one."""
        given = self.given.get(key)
        found: Student | None = self._once(kind, key, read_student) if given is None else given
        return found if found and found.kind == kind else None

    def labels(self, key: str) -> Mapping[str, Any] | None:
        """The identity of a label set."""
        document: Mapping[str, Any] | None = self._once(SOFT_LABELS, key, _labels)
        return None if document is None else document["identity"]

    def measured(self, keys: Iterable[str]) -> dict[str, Measured]:
        """What the newest report says, for each of these models that has one."""
        wanted, found = set(keys), dict[str, Measured]()
        for directory in sorted(self._evaluations(), key=_modified, reverse=True):
            try:
                identity = read_manifest(directory).get("identity", {})
                asked = {identity.get(role): role for role in reversed(ROLES)}
                if wanted & asked.keys() - found.keys():
                    report = read_json(verified(directory, REPORT))
                    found = {**_figures(report, asked), **found}
            except (ArtifactError, AttributeError) as error:
                say(f"left out: {error}")
        return {key: measured for key, measured in found.items() if key in wanted}

    def _once(self, kind: str, key: str, read: Any) -> Any:
        if (kind, key) not in self._read:
            place = self.find(kind, key)
            self._read[kind, key] = None if place is None else read(place)
        return self._read[kind, key]

    def _index(self, root: Path, kind: str) -> dict[str, Path]:
        if (root, kind) not in self._names:
            artefacts = (path for path in children(root / kind) if is_artefact(path))
            self._names[root, kind] = {path.name[-DIGITS:]: path for path in artefacts}
        return self._names[root, kind]

    def _evaluations(self) -> Iterator[Path]:
        for root in self.roots:
            yield from filter(is_artefact, children(root / EVALUATIONS))


def children(directory: Path) -> list[Path]:
    """Directories that are not hidden: working directories are. None where there is no such directory."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(p for p in directory.iterdir() if not p.name.startswith(".") and p.is_dir())
    return []


def is_artefact(directory: Path) -> bool:
    """A directory without a manifest is nobody's."""
    return any((directory / name).is_file() for name in (MANIFEST, LABELS))


def _labels(directory: Path) -> dict[str, Any]:
    found = read_sealed_json(directory / LABELS)
    if not isinstance(found.get("identity"), dict):
        raise ArtifactError(f"{directory / LABELS} is not what distill-cli writes")
    return found


def _figures(report: Mapping[str, Any], roles: Mapping[str | None, str]) -> dict[str, Measured]:
    models, device = report.get("models") or {}, (report.get("settings") or {}).get("device", "")
    known = {key: models.get(role) for key, role in roles.items() if key}
    teacher = models.get("teacher") or {}
    return {key: Measured(figures, str(device), teacher) for key, figures in known.items() if figures}


def _modified(directory: Path) -> int:
    return (directory / MANIFEST).stat().st_mtime_ns
