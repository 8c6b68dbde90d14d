"""`distill.lock.json`: what a student was made from, and what came out, in a file that is kept beside the code.

It is read in diffs: one value a line, no times, no absolute paths, and each input stands in it once. The same
state gives the same bytes. Like a manifest it has a digest of itself: one that was edited, or merged, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import make_directory, read_json, read_sealed_json, write_sealed_json
from distill_cli.errors import ArtifactError

SCHEMA = 1
DEFAULT = "distill.lock.json"
NEVER_MISSING = ("data", "student")  # of the inputs


@dataclass(frozen=True)
class Pinned:
    """One artefact."""

    name: str
    key: str
    files: Mapping[str, Mapping[str, Any]]  # bytes and sha256 of each; the shards of soft labels as one
    built_with: Mapping[str, str]  # versions, device, threads: as its build.json has them

    @property
    def label(self) -> str:
        """Its name without the digits of the key."""
        return self.name.rpartition("-")[0]


@dataclass(frozen=True)
class Lock:
    """`inputs` and `artifacts` are by role: teacher, soft_labels, student, evaluation; `data` and `baseline`."""

    inputs: Mapping[str, Mapping[str, Any]]  # what goes into each, beyond those that it reads
    artifacts: Mapping[str, Pinned]
    choices: Mapping[str, str | None]  # config group, as typed, to option
    versions: Mapping[str, str]
    command: str

    def write(self, path: Path) -> bool:
        """Whether anything in the file has changed by that."""
        before = path.read_bytes() if path.is_file() else b""
        make_directory(path.parent)
        write_sealed_json(path, {"schema": SCHEMA, **asdict(self)})
        return path.read_bytes() != before


def read_lock(path: Path, remedy: str) -> Lock:
    """Raises `ArtifactError`, with the remedy, where it is not what `Lock.write` wrote."""
    found = read_json(path, remedy)
    if not (isinstance(found, dict) and {"schema", "inputs", "artifacts"} <= found.keys()):
        raise ArtifactError(f"{path} is not a file of distill lock; {remedy}")
    if found["schema"] != SCHEMA:
        raise ArtifactError(f"{path} is of schema {found['schema']}, not {SCHEMA}; {remedy}")
    try:
        return _lock(read_sealed_json(path, remedy))
    except (KeyError, TypeError, AttributeError, ValueError):  # somebody else wrote it, digest and all
        raise ArtifactError(f"{path} is not what distill lock writes; {remedy}") from None


def _lock(found: Mapping[str, Any]) -> Lock:
    pinned = {role: Pinned(**entry) for role, entry in found["artifacts"].items()}
    inputs = {role: dict(section) for role, section in found["inputs"].items()}
    missing = [role for role in NEVER_MISSING if role not in inputs]
    texts = [text for one in pinned.values() for text in (one.name, one.key)]
    if missing or "student" not in pinned or not all(isinstance(text, str) for text in texts):
        raise ValueError(missing)
    return Lock(inputs, pinned, dict(found["choices"]), dict(found["versions"]), str(found["command"]))
