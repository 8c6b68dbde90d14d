"""What a chart draws: one accuracy of each row, and that of what the row is measured against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from distill_cli.comparison.figures import Figure
from distill_cli.comparison.row import Row
from distill_cli.comparison.students import Student
from distill_cli.comparison.table import Table

WIDTH, HEIGHT = 4.4, 3.6  # inches of a chart: on a phone its text keeps its size
REFERENCES = (("baseline", ":"), ("teacher", "--"))  # with the line of each


@dataclass(frozen=True)
class Chart:
    title: str
    svg: str
    told: tuple[str, ...] = ()  # below it, a line each


@dataclass(frozen=True)
class Measure:
    name: str  # validation, test

    def of(self, row: Row) -> Figure | None:
        return row.validation if self.name == "validation" else row.test

    def reference(self, name: str, row: Row) -> float | None:
        """The mean over the row's baselines, or its teacher's."""
        if name == "teacher":
            return row.of_teacher(self.name)
        known = [self._of_one(model) for model in row.baselines if model is not None]
        values = [value for value in known if value is not None]
        return fmean(values) if values else None

    def references(self, name: str, rows: Iterable[Row]) -> list[float]:
        """The different ones among rows, the lowest first."""
        found = (self.reference(name, row) for row in rows)
        return sorted({level for level in found if level is not None})

    def _of_one(self, student: Student) -> float | None:
        return student.validation if self.name == "validation" else student.test


def measures_of(table: Table) -> list[Measure]:
    """Those that are there; what ranks comes first."""
    both = [Measure("validation"), Measure("test")] if table.is_ranked else [Measure("test")]
    return [measure for measure in both if any(measure.of(row) for row in table.rows)]


def told_of_references(measure: Measure, rows: Iterable[Row]) -> list[str]:
    """`Teacher: 95.80%.`, for a screen reader."""
    rows = list(rows)
    levels = {name: measure.references(name, rows) for name, _ in REFERENCES}
    ends = {
        name: dict.fromkeys((f"{found[0]:.2%}", f"{found[-1]:.2%}"))
        for name, found in levels.items()
        if found
    }
    return [f"{name.capitalize()}: {' to '.join(values)}." for name, values in ends.items()]
