"""What jobs leave in their output directories: `result.json` of what was made, `error.json` of a failure, and
`junit.xml` of what the gates said.

A job can leave both: one whose gate was missed has failed, and its student is complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RESULT, ERROR, JUNIT = "result.json", "error.json", "junit.xml"


@dataclass(frozen=True)
class Records:
    """In the order of the jobs: 10 after 9."""

    results: tuple[Path, ...]
    errors: tuple[Path, ...]

    @classmethod
    def below(cls, directory: Path) -> Records:
        results, errors = (sorted(directory.rglob(name), key=_naturally) for name in (RESULT, ERROR))
        return cls(tuple(results), tuple(errors))

    def __iter__(self) -> Iterator[Path]:
        yield from (*self.results, *self.errors)

    def but(self, known: dict[Path, int]) -> Records:
        """Without those that were there at the time that `known` has for them, see `times`."""
        fresh = {path for path, time in self.times().items() if known.get(path) != time}
        results, errors = ([path for path in paths if path in fresh] for paths in (self.results, self.errors))
        return Records(tuple(results), tuple(errors))

    def times(self) -> dict[Path, int]:
        """When each was written."""
        return {path: path.stat().st_mtime_ns for path in self}

    @property
    def jobs(self) -> int:
        return len({path.parent for path in self})

    @property
    def without_result(self) -> list[Path]:
        """The errors of jobs that made nothing."""
        made = {path.parent for path in self.results}
        return [path for path in self.errors if path.parent not in made]


def _naturally(path: Path) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", str(path))]
