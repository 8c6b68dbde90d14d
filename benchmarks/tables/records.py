"""docs/results/NAME.json: of every run its keys and figures, how long its parts took, and where.

Committed beside the page that is made of it. A file of another schema is made anew, never mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

    @classmethod
    def at(cls, path: Path) -> Results:
        """What is recorded there; nothing, where it is of another schema or no JSON."""
        if not path.exists():
            return cls(path)
        try:
            found = read_json(path)
        except ArtifactError:
            say(f"{path} is not JSON: made anew")
            return cls(path)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            say(f"{path} is not of schema {SCHEMA}: made anew")
            return cls(path)
        return cls(path, found["runs"], found["failed"])

    def write(self) -> None:
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
        for run in runs:
            self.runs.pop(run, None)

    def fail(self, run: Run, why: str) -> None:
        self.failed[run] = why
        self.write()

    def forget_former_words(self, table: Table) -> None:
        """Runs that are recorded under today's words as well, and failures of nobody."""
        today = [self.runs[run]["keys"] for run in table.runs if run in self.runs]
        for run in [run for run in self.runs if run not in table.runs and self.runs[run]["keys"] in today]:
            del self.runs[run]
        self.failed = {run: why for run, why in self.failed.items() if run in table.runs}


def _tells(recorded: Mapping[str, Any], classes: Iterable[str]) -> bool:
    recall = recorded["figures"]["student"].get("recall", {})
    return all(name in recall for name in classes)
