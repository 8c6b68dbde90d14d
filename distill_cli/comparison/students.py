"""One trained model as its manifest describes it. Weights are never opened here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.keys import canonical_json
from distill_cli.artifacts.store import BUILD_NOTES, MANIFEST, read_manifest
from distill_cli.errors import ArtifactError

STUDENTS, TEACHERS = "students", "teachers"


@dataclass(frozen=True, eq=False)
class Student:
    """A student, a baseline, or a teacher that is compared like one."""

    kind: str  # students, teachers
    name: str
    key: str
    directory: Path
    identity: Mapping[str, Any]
    model: Mapping[str, Any]  # its spec, with the name
    data: str  # name of the data set
    metrics: Mapping[str, Any]
    command: str | None  # makes it from nothing

    @property
    def seed(self) -> int | None:
        """None for an imported teacher."""
        return self.identity.get("seed")

    @property
    def role(self) -> str:
        """student, baseline or teacher."""
        if self.kind == TEACHERS:
            return "teacher"
        return "baseline" if self.identity.get("distillation") is None else "student"

    @property
    def root(self) -> Path | None:
        """The artifacts directory it lies in."""
        return self.directory.parent.parent if self.directory.parent.name == self.kind else None

    @property
    def validation(self) -> float | None:
        return self.metrics.get("validation_top1")

    @property
    def test(self) -> float | None:
        return self.metrics.get("test_top1")

    @property
    def parameters(self) -> int | None:
        return self.metrics.get("parameters")

    @cached_property
    def setting(self) -> str:
        """Equal for students that differ in their seed alone. A teacher's views may follow its seed."""
        identity = {name: value for name, value in self.identity.items() if name != "seed"}
        if self.kind == TEACHERS and isinstance(identity.get("views"), Mapping):
            identity["views"] = {key: value for key, value in identity["views"].items() if key != "seed"}
        return canonical_json(identity)

    @property
    def parts(self) -> Mapping[str, Any]:
        """Digests of the data set's parts; empty for an imported teacher."""
        return self.identity.get("data") or {}


def read_student(directory: Path, command: str | None = None) -> Student:
    """`command` is for one that was built before commands were kept. Raises `ArtifactError`."""
    found = read_manifest(directory)
    try:
        student = Student(
            kind=found["kind"],
            name=str(found["name"]),
            key=str(found["key"]),
            directory=directory,
            identity=dict(found["identity"]),
            model=dict(found.get("model") or found["identity"].get("model") or {}),
            data=str((found.get("data") or {}).get("name", "")),
            metrics=dict(found["metrics"]),
            command=_command(directory) or command,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ArtifactError(f"{directory / MANIFEST} is not what distill-cli writes") from None
    if student.kind not in (STUDENTS, TEACHERS):
        raise ArtifactError(f"{directory} is neither a student nor a teacher: its kind is {student.kind}")
    return student


def _command(directory: Path) -> str | None:
    """As build.json has it. It is in no digest, so what is wrong with it is no damage."""
    try:
        command = read_json(directory / BUILD_NOTES).get("command")
    except (ArtifactError, AttributeError, OSError):
        return None
    return command if isinstance(command, str) else None
