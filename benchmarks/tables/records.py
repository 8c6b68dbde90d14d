"""docs/results/NAME.json: of every run its keys and figures, how long its parts took, and where.

Committed beside the page that is made of it. A file of an older schema is made anew, never mixed; one that cannot
be read is nobody's to overwrite, since it may hold days of computing. Several processes may make parts of one
table: each takes over what the others have recorded meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_cli.artifacts.claims import NO_LOCKS
from distill_cli.artifacts.files import CorruptDocumentError, make_directory, read_json, write_json
from distill_cli.artifacts.keys import canonical_json
from distill_cli.errors import ArtifactError
from distill_cli.runtime.console import say
from tables.description import Run, Table
from tables.keys import Keys
from tables.shapes import MAPPING, NUMBER, TEXT, Shape, fault, mapping_of, or_none

SCHEMA = 1
Recorded = dict[str, Any]
OF_A_MODEL = Shape("", lambda value: isinstance(value, dict) and NUMBER.fits(value.get("samples")))
OF_A_RUN = {
    "keys": mapping_of(TEXT, "a key of each artefact"),
    "figures": mapping_of(OF_A_MODEL, "figures of each model"),
    "soft_labels": or_none(mapping_of(NUMBER, "numbers")),
    "seconds": mapping_of(NUMBER, "seconds of each stage"),
    "machine": MAPPING,
    "date": TEXT,
}
OF_A_FILE = {"runs": mapping_of(MAPPING, "runs"), "failed": mapping_of(TEXT, "reasons")}
ANEW = "mend it, or move it away to begin anew"


@dataclass
class Results:
    path: Path
    runs: dict[Run, Recorded] = field(default_factory=dict)
    failed: dict[Run, str] = field(default_factory=dict)  # why, in one line
    gone: set[tuple[Run, str]] = field(default_factory=set)  # runs with keys or failures not to come back

    @classmethod
    def at(cls, path: Path) -> Results:
        """What is recorded there; nothing, where it is of an older schema. Raises `ArtifactError`."""
        found = _read(path)
        if found is None and path.exists():
            say(f"{path} is of a schema before {SCHEMA}: made anew")
        return cls(path, found["runs"], found["failed"]) if found else cls(path)

    def refresh(self) -> None:
        """Take over what another process has recorded meanwhile."""
        found = _read(self.path) or {"runs": {}, "failed": {}}
        for run, recorded in found["runs"].items():
            if run not in self.runs and (run, canonical_json(recorded["keys"])) not in self.gone:
                self._know(run, recorded)
        for run, why in found["failed"].items():
            if run not in self.runs and (run, why) not in self.gone:
                self.failed.setdefault(run, why)

    def write(self) -> None:
        make_directory(self.path.parent)
        with _alone(self.path.parent):
            self.refresh()
            write_json(self.path, {"schema": SCHEMA, "runs": self.runs, "failed": self.failed})

    def has(self, run: Run, keys: Keys, classes: Iterable[str]) -> bool:
        """Whether it is recorded with these keys and recalls, under whatever words; from now on under its own."""
        for recorded in (self.runs.get(run), *self.runs.values()):
            if recorded and recorded["keys"] == keys and _tells(recorded, classes):
                self._know(run, recorded)
                return True
        return False

    def keep(self, run: Run, recorded: Recorded) -> None:
        self._know(run, recorded)
        self.write()

    def _know(self, run: Run, recorded: Recorded) -> None:
        self.runs[run] = recorded
        self.failed.pop(run, None)

    def drop(self, runs: Iterable[Run]) -> None:
        """Figures of other keys: nothing of them is shown any more."""
        for run in [run for run in runs if run in self.runs]:
            self.gone.add((run, canonical_json(self.runs.pop(run)["keys"])))

    def fail(self, run: Run, why: str) -> None:
        self.failed[run] = why
        self.write()

    def forget_former_words(self, table: Table) -> None:
        """Runs that are recorded under today's words as well, and failures of nobody."""
        today = [self.runs[run]["keys"] for run in table.runs if run in self.runs]
        self.drop([run for run in self.runs if run not in table.runs and self.runs[run]["keys"] in today])
        for run in [run for run in self.failed if run not in table.runs]:
            self.gone.add((run, self.failed.pop(run)))


def _read(path: Path) -> Recorded | None:
    """None where it is of an older schema, or not there. Raises `ArtifactError` where it is not whole, or newer."""
    if not path.exists():
        return None
    try:
        found = read_json(path)
    except CorruptDocumentError:
        raise ArtifactError(f"{path} is not JSON (git's conflict markers?); {ANEW}") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if not isinstance(schema, int):
        raise ArtifactError(f"{path} holds no results; {ANEW}")
    if schema > SCHEMA:
        raise ArtifactError(f"{path} is of schema {schema}, newer than {SCHEMA}; update, or move it away")
    if schema == SCHEMA and (wrong := _fault(found)):
        raise ArtifactError(f"{path} is not whole: {wrong}; {ANEW}")
    return found if schema == SCHEMA else None


def _fault(document: Recorded) -> str | None:
    wrong = _missing_from(document, OF_A_FILE) or fault(document, OF_A_FILE)
    several = {} if wrong else document["runs"]
    faults = (_missing_from(run, OF_A_RUN) or fault(run, OF_A_RUN) for run in several.values())
    return wrong or next(filter(None, faults), None)


def _missing_from(said: Recorded, shapes: Mapping[str, Shape]) -> str | None:
    return next((f"`{name}` is missing" for name in shapes if name not in said), None)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One process at a time. A lock of the directory leaves no file beside the pages."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (*NO_LOCKS, errno.EBADF):  # the last: NFS locks no directory
            raise


def _tells(recorded: Mapping[str, Any], classes: Iterable[str]) -> bool:
    recall = recorded["figures"].get("student", {}).get("recall", {})
    return all(name in recall for name in classes)
