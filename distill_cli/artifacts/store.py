"""Where artefacts lie, and how one comes into being.

An artefact is built in a working directory beside its place and becomes visible by one rename. One process
builds it at a time; a second one waits, then finds it built. The working directory outlives a kill: a rerun
goes on from there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distill_cli.artifacts.claims import NO_LOCKS
from distill_cli.artifacts.files import (
    make_directory,
    read_json,
    read_sealed_json,
    sha256_of,
    sweep_temporary,
    sync_directory,
    write_sealed_json,
)
from distill_cli.artifacts.keys import Identity, key_of
from distill_cli.errors import ArtifactError, ConfigError
from distill_cli.runtime.console import say

MANIFEST = "artifact.json"
WEIGHTS = "model.safetensors"  # of a teacher or a student
BUILD_NOTES = "build.json"  # when, where and how long: the one file that differs between equal builds
CHECKPOINT = "checkpoint.pt"  # lives in the working directory only
LOCKS = ".locks"
SCHEMA = 2


@dataclass(frozen=True)
class Place:
    """The place of one artefact, built or not."""

    root: Path
    kind: str  # teachers, soft_labels, students, evaluations
    label: str  # readable
    identity: Identity

    @cached_property
    def key(self) -> str:
        return key_of(self.identity)

    @property
    def name(self) -> str:
        return f"{self.label}-{self.key[:12]}"

    @property
    def directory(self) -> Path:
        return self.root / self.kind / self.name

    @property
    def work(self) -> Path:
        return self.root / self.kind / f".{self.name}.work"

    @property
    def claims(self) -> Path:
        """The file of claims, for an artefact that several processes fill at once."""
        return self.root / LOCKS / f"{self.kind}-{self.key[:12]}.claims"

    @contextmanager
    def locked(self, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the artefact's lock; call `on_wait` once if another process has it."""
        from filelock import FileLock, Timeout  # 50 ms that an up-to-date command need not pay

        locks = self.root / LOCKS
        try:
            make_directory(locks)
        except FileNotFoundError:  # a file system that makes no directories, such as /proc
            raise ConfigError(f"paths.artifacts={self.root}: cannot be created") from None
        lock = FileLock(locks / f"{self.kind}-{self.key[:12]}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire()
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            say(f"{locks} is on a file system without locks: start each command only once at a time")
        try:
            yield
        finally:
            lock.release()

    def is_complete(self) -> bool:
        """Whether the artefact is there with files of the right size.

        Raises `ArtifactError` where something else lies in its place, or a file of it is gone or cut.
        """
        if not (self.directory / MANIFEST).is_file():
            return False
        manifest = read_manifest(self.directory)
        if manifest["key"] != self.key:
            raise ArtifactError(f"{self.directory} holds another artefact; remove it and run again")
        for name, entry in manifest["files"].items():
            _check_size(self.directory / name, entry["bytes"])
        return True

    def publish(self, content: Mapping[str, Any]) -> None:
        """Turn the working directory into the artefact; `content` joins its manifest."""
        (self.work / CHECKPOINT).unlink(missing_ok=True)
        sweep_temporary(self.work)
        names = sorted(path.name for path in self.work.iterdir() if path.name not in (MANIFEST, BUILD_NOTES))
        files = {
            name: {"bytes": (self.work / name).stat().st_size, "sha256": sha256_of(self.work / name)}
            for name in names
        }
        manifest = {"schema": SCHEMA, "kind": self.kind, "name": self.name, "key": self.key}
        write_sealed_json(
            self.work / MANIFEST, {**manifest, "identity": self.identity, "files": files, **content}
        )
        if self.directory.exists():  # a directory without a manifest is nobody's artefact
            shutil.rmtree(self.directory)
        self.work.rename(self.directory)
        sync_directory(self.directory.parent)


def read_manifest(directory: Path) -> dict[str, Any]:
    """`artifact.json` of an artefact. Raises `ArtifactError` where there is none, or one of another schema."""
    if not directory.is_dir():
        raise ArtifactError(f"there is no artefact at {directory}")
    path = directory / MANIFEST
    found = read_json(path)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ArtifactError(f"{path} is not of schema {SCHEMA}, made by another version? Remove {directory}")
    return read_sealed_json(path)


def verified(directory: Path, name: str) -> Path:
    """The path of an artefact's file, after its sha256 has been checked. Raises `ArtifactError`."""
    digest, path = recorded_digest(directory, name), directory / name
    if sha256_of(path) != digest:
        raise ArtifactError(f"{path} is corrupt: its sha256 differs; remove {directory} and run again")
    return path


def recorded_digest(directory: Path, name: str) -> str:
    """The sha256 that an artefact's file should have, after its size has been checked. Raises `ArtifactError`."""
    entry = read_manifest(directory)["files"].get(name)
    if entry is None:
        raise ArtifactError(f"{directory} has no {name}")
    _check_size(directory / name, entry["bytes"])
    return str(entry["sha256"])


def _check_size(path: Path, size: int) -> None:
    actual = path.stat().st_size if path.is_file() else None
    if actual != size:
        found = "is missing" if actual is None else f"has {actual} bytes, not {size}"
        raise ArtifactError(f"{path} {found}; remove {path.parent} and run again")
