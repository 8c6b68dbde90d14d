"""The ranked table: one row a setting, with its seeds folded, and below it what the settings are measured against.

Validation ranks, because choosing the best by its test accuracy would spoil that accuracy; test stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distill_cli.comparison.columns import Column, columns_of
from distill_cli.comparison.library import Library
from distill_cli.comparison.notes import notes_on, why_unranked
from distill_cli.comparison.references import References
from distill_cli.comparison.row import Row
from distill_cli.comparison.students import STUDENTS, TEACHERS, Student
from distill_cli.errors import ArtifactError, ConfigError
from distill_cli.runtime.console import say

DECIMALS = 12  # means that agree so far are a tie


@dataclass(frozen=True)
class Table:
    data: str  # name of the data set
    kind: str  # students, teachers: what the rows are
    columns: tuple[Column, ...]  # the settings that differ
    rows: tuple[Row, ...]  # the best first, if they are ranked
    references: tuple[Row, ...]  # baselines, then teachers
    notes: tuple[str, ...]  # what a reader must know; the first says what ranks
    is_ranked: bool

    @property
    def all_rows(self) -> tuple[Row, ...]:
        return (*self.rows, *self.references)

    @property
    def devices(self) -> tuple[str, ...]:
        """Those that measured latency."""
        return tuple(sorted({device for row in self.all_rows for device in row.latency}))

    @property
    def has_gains(self) -> bool:
        return any(row.gain for row in self.rows)


def tabulate(students: Sequence[Student], *roots: Path) -> Table:
    """Teachers, baselines and reports are looked for where the students lie, then in `roots`.

    Teachers among students are not ranked with them. Raises `ConfigError` where the students cannot stand in one
    table, and `ArtifactError` where none has figures, or something that they were made from is damaged.
    """
    students = _with_figures(students)
    _refuse_other_data(students)
    kind = STUDENTS if any(student.kind == STUDENTS for student in students) else TEACHERS
    compared = [student for student in students if student.kind == kind]
    own = dict.fromkeys(student.root for student in students if student.root)
    library = Library((*own, *roots), {student.key: student for student in students})
    references = References(library)
    rows = [references.row(alike) for alike in references.fold(compared)]
    others = references.rows(rows)
    measured = library.measured(student.key for row in (*rows, *others) for student in row.students)
    rows, others = ([replace(row, measured=measured) for row in some] for some in (rows, others))
    columns = columns_of([row.facts for row in rows])
    why_not = why_unranked(compared)
    rows = _in_setting_order(rows, columns) if why_not else _ranked(rows)
    notes = tuple(notes_on(rows, why_not))
    return Table(compared[0].data, kind, columns, tuple(rows), tuple(others), notes, not why_not)


def _with_figures(students: Sequence[Student]) -> list[Student]:
    found = []
    for student in students:
        if student.test is None and student.validation is None:
            say(f"left out: {student.name} has no figures")
        else:
            found.append(student)
    if not found:
        raise ArtifactError("there is nothing to compare: no student with figures")
    return found


def _refuse_other_data(students: Sequence[Student]) -> None:
    """Raises `ConfigError` for students that were not tested on the same pictures."""
    parts: dict[tuple[str, str], Student] = {}
    for student in students:
        if student.parts:
            parts.setdefault((student.parts.get("test", ""), student.parts.get("classes", "")), student)
    one, *others = parts.values() or [students[0]]
    for other in others:
        what, remedy = "with different test parts", ""
        if one.data != other.data:
            pattern = one.directory.parent / f"*-{one.data}-*"
            what, remedy = "of different data sets", f"; name those of one: '{pattern}'"
        names = f"{one.data} ({one.name}), {other.data} ({other.name})"
        raise ConfigError(f"students {what} cannot be ranked together: {names}{remedy}")


def _ranked(rows: Sequence[Row]) -> list[Row]:
    """By mean validation accuracy; ties by fewer parameters, then by name."""

    def order(row: Row) -> tuple[float, int, str]:
        assert row.validation is not None, row.name
        return -round(row.validation.mean, DECIMALS), row.parameters or 0, row.name

    return [replace(row, rank=rank) for rank, row in enumerate(sorted(rows, key=order), 1)]


def _in_setting_order(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Numbers by size, words by letter."""

    def order(row: Row) -> list[tuple[float, str]]:
        numbers = [column.number(row.facts) for column in columns]
        return [
            (float("inf") if number is None else number, column.cell(row.facts))
            for number, column in zip(numbers, columns, strict=True)
        ]

    return sorted(rows, key=order)
