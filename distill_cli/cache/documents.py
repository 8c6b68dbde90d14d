"""artifact.json and labels.json, read by somebody who does not know what they should say.

Whatever is wrong with one is an `ArtifactError` in a few words: somebody else's JSON with a good digest as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import read_sealed_json
from distill_cli.artifacts.keys import key_of
from distill_cli.artifacts.store import MANIFEST, read_manifest
from distill_cli.cache.extent import Slot, slots
from distill_cli.errors import ArtifactError

KINDS = ("teachers", "soft_labels", "students", "evaluations")  # each reads those before it
COMMANDS = dict(
    zip(KINDS, ("train-teacher", "gen-soft-labels", "distill", "evaluate"), strict=True)
)  # what makes one
LABELS = "labels.json"
LABELS_FORMAT = 1
DIGITS = 12  # of the key, at the end of a name


@dataclass(frozen=True)
class Recorded:
    """What a manifest says of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Document:
    """What an artefact says it is: either it lists its files, or they follow from its extent."""

    key: str
    identity: Mapping[str, Any]
    files: Mapping[str, Recorded] = field(default_factory=dict)
    slots: tuple[Slot, ...] = ()


def name_of_document(kind: str) -> str:
    return LABELS if kind == "soft_labels" else MANIFEST


def read_document(kind: str, directory: Path) -> Document:
    """Raises `ArtifactError` with what is wrong, in words that follow the name of the file, and `OSError`."""
    path = directory / name_of_document(kind)
    try:
        found = read_sealed_json(path) if kind == "soft_labels" else read_manifest(directory)
    except ArtifactError as error:
        raise ArtifactError(in_short(error, path)) from None
    try:
        document = _labels(found) if kind == "soft_labels" else _manifest(found, kind)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ArtifactError("is not what distill-cli writes") from None
    if document.key != key_of(document.identity):
        raise ArtifactError("has a key that is not the hash of its identity")
    if document.key[:DIGITS] != directory.name[-DIGITS:]:
        raise ArtifactError(f"belongs to another artefact: its key begins with {document.key[:DIGITS]}")
    return document


def in_short(error: Exception, path: Path) -> str:
    """What an error says about a file, without the file's name and without the remedy."""
    return " ".join(str(error).removeprefix(f"{path}").partition("; ")[0].split())


def _manifest(found: Mapping[str, Any], kind: str) -> Document:
    files = {
        _plain(name): Recorded(int(entry["bytes"]), str(entry["sha256"]))
        for name, entry in found["files"].items()
    }
    if found["kind"] != kind:
        raise ValueError(kind)
    return Document(str(found["key"]), dict(found["identity"]), files)


def _labels(found: Mapping[str, Any]) -> Document:
    if found["format"] != LABELS_FORMAT:
        raise ArtifactError(f"is of format {found['format']}, not {LABELS_FORMAT}")
    return Document(str(found["key"]), dict(found["identity"]), slots=tuple(slots(found["extent"])))


def _plain(name: str) -> str:
    """A file of the artefact itself: no way out of its directory."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(name)
    return name
