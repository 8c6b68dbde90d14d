"""Where an export goes, and how it comes there: written beside its place, seen by one rename. No torch.

`export.json` says whose export a directory holds. Only that of the same student in the same format is replaced;
whatever else lies in the place is left alone.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import make_directory, read_json, sha256_of, sync_directory, write_json
from distill_cli.artifacts.store import Place
from distill_cli.errors import ArtifactError, ConfigError

NOTES = "export.json"
SCHEMA = 1
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # other errors are the place's


@dataclass(frozen=True)
class Destination:
    """The directory of one export, there or not."""

    directory: Path
    student: Place
    format: str

    @classmethod
    def of(cls, output: str | None, student: Place, form: str) -> Destination:
        """`output`, else `exports/<student>/<format>`. Raises `ConfigError` where it cannot be written."""
        directory = Path("exports", student.name, form) if output is None else Path(output)
        destination = cls(directory, student, form)
        destination.check()
        return destination

    def check(self) -> None:
        """Raises `ConfigError` where something lies there that is not this export."""
        with self._reachable():
            if self._is_free():
                return
            found = self._notes()
        if found.get("schema") != SCHEMA:
            raise ConfigError(f"{self.directory} is not empty and holds no export; set another export.output")
        if (found.get("format"), found.get("key")) != (self.format, self.student.key):
            raise ConfigError(
                f"{self.directory} holds another export ({found.get('format')} of {found.get('student')}); "
                "remove it, or set another export.output"
            )

    @contextmanager
    def written(self) -> Iterator[Path]:
        """A directory to write into; without an error it takes its place at the end, else it vanishes."""
        target = self.directory.resolve()
        stem = f".{target.name}-{self.student.key[:12]}"
        work, former = target.with_name(f"{stem}.work"), target.with_name(f"{stem}.former")
        for leftover in (work, former):  # of a kill
            shutil.rmtree(leftover, ignore_errors=True)
        with self._reachable():
            make_directory(target.parent)
            work.mkdir()
        try:
            yield work
            self.check()
            with self._reachable():
                if target.exists():
                    target.rename(former)
                work.rename(target)
            sync_directory(target.parent)
        finally:
            if former.exists() and not target.exists():
                former.rename(target)
            for leftover in (work, former):
                shutil.rmtree(leftover, ignore_errors=True)

    def describe(self, work: Path, facts: Mapping[str, Any]) -> int:
        """Write `export.json` beside the files that are there, last. Returns their bytes."""
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in sorted(work.iterdir())
        }
        whose = {"format": self.format, "student": self.student.name, "key": self.student.key}
        write_json(work / NOTES, {"schema": SCHEMA, **whose, "files": files, **facts})
        return sum(path.stat().st_size for path in work.iterdir())

    def _is_free(self) -> bool:
        """Raises `ConfigError` where a directory cannot be, or cannot be replaced."""
        for path in (self.directory, *self.directory.parents):
            if path.exists() and not path.is_dir():
                raise ConfigError(f"export.output={self.directory}: {path} is a file; name a directory")
        if self.directory.is_mount():
            raise ConfigError(f"export.output={self.directory} is a mount point; name a directory in it")
        return not self.directory.is_dir() or not any(self.directory.iterdir())

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        """Raises `ConfigError` where the place is to blame, and not the disk."""
        try:
            yield
        except OSError as error:
            if error.errno in OF_THE_DISK:
                raise
            raise ConfigError(
                f"export.output={self.directory}: {error.strerror}; name a directory that can be written"
            ) from error

    def _notes(self) -> Mapping[str, Any]:
        try:
            found = read_json(self.directory / NOTES)
        except ArtifactError:
            return {}
        return found if isinstance(found, dict) else {}
