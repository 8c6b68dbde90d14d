"""docs/results/NAME.json: of every run its keys and figures, how long its parts took, and where.

Committed beside the page that is made of it. A file of another schema is made anew, never mixed. Several processes
may make parts of one table: each takes over what the others have recorded meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import make_directory, read_json, write_json
from distill_cli.errors import ArtifactError
from distill_cli.runtime.console import say
from tables.description import Run, Table
from tables.keys import Keys

SCHEMA = 1
Recorded = dict[str, Any]


@dataclass
class Results:
    path: Path
    runs: dict[Run, Recorded] = field(default_factory=dict)
    failed: dict[Run, str] = field(default_factory=dict)  # why, in one line
    gone: set[Run] = field(default_factory=set)  # that are not to come back

    @classmethod
    def at(cls, path: Path) -> Results:
        """What is recorded there; nothing, where it is of another schema or no JSON."""
        found = _read(path)
        if found is None and path.exists():
            say(f"{path} is not JSON of schema {SCHEMA}: made anew")
        return cls(path, found["runs"], found["failed"]) if found else cls(path)

    def refresh(self) -> None:
        """Take over what another process has recorded meanwhile."""
        for run, recorded in (_read(self.path) or {"runs": {}})["runs"].items():
            if run not in self.gone:
                self.runs.setdefault(run, recorded)

    def write(self) -> None:
        self.refresh()
        make_directory(self.path.parent)
        write_json(self.path, {"schema": SCHEMA, "runs": self.runs, "failed": self.failed})

    def has(self, run: Run, keys: Keys, classes: Iterable[str]) -> bool:
        """Whether it is recorded with these keys and recalls, under whatever words; from now on under its own."""
        for recorded in (self.runs.get(run), *self.runs.values()):
            if recorded and recorded["keys"] == keys and _tells(recorded, classes):
                self.runs[run] = recorded
                self.failed.pop(run, None)
                return True
        return False

    def keep(self, run: Run, recorded: Recorded) -> None:
        self.runs[run] = recorded
        self.failed.pop(run, None)
        self.write()

    def drop(self, runs: Iterable[Run]) -> None:
        """Figures of other keys: nothing of them is shown any more."""
        known = [run for run in runs if run in self.runs]
        self.gone.update(known)
        for run in known:
            del self.runs[run]

    def fail(self, run: Run, why: str) -> None:
        self.failed[run] = why
        self.write()

    def forget_former_words(self, table: Table) -> None:
        """Runs that are recorded under today's words as well, and failures of nobody."""
        today = [self.runs[run]["keys"] for run in table.runs if run in self.runs]
        self.drop([run for run in self.runs if run not in table.runs and self.runs[run]["keys"] in today])
        self.failed = {run: why for run, why in self.failed.items() if run in table.runs}


def _read(path: Path) -> Recorded | None:
    """None where it is of another schema, no JSON, or not there."""
    with suppress(ArtifactError):
        found = read_json(path)
        if isinstance(found, dict) and found.get("schema") == SCHEMA:
            return found
    return None


def _tells(recorded: Mapping[str, Any], classes: Iterable[str]) -> bool:
    recall = recorded["figures"]["student"].get("recall", {})
    return all(name in recall for name in classes)
