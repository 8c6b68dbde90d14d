"""What students are measured against: the baseline of the same seed, and the teacher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from distill_cli.artifacts.keys import key_of
from distill_cli.comparison.facts import facts_of, teacher_key
from distill_cli.comparison.library import Library
from distill_cli.comparison.row import Row, fold
from distill_cli.comparison.students import STUDENTS, TEACHERS, Student


@dataclass(frozen=True)
class References:
    """`given` are models that the user named: they may lie anywhere."""

    library: Library
    given: Mapping[str, Student]  # by key

    def row(self, alike: tuple[Student, ...], *, is_reference: bool = False) -> Row:
        """Raises `ArtifactError` where something the students were made from is damaged."""
        facts, teacher = facts_of(alike[0], self.library), self.teacher_of(alike[0])
        baselines = tuple(self.baseline_of(student) for student in alike)
        return Row(alike, facts, baselines, teacher, is_reference=is_reference)

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """Baselines, then teachers, of `rows`; then what was given and taught nobody. None that is in `rows`."""
        rows = list(rows)
        baselines = [one for row in rows for one in row.baselines if one is not None]
        teachers = [row.teacher for row in rows if row.teacher is not None]
        known = {row.setting for row in rows}
        models = [*baselines, *teachers, *self.given.values()]
        return [self.row(alike, is_reference=True) for alike in fold(models) if alike[0].setting not in known]

    def baseline_of(self, student: Student) -> Student | None:
        """The same student from hard labels alone; a baseline has none itself."""
        if student.role != "student":
            return None
        return self._find(STUDENTS, key_of({**student.identity, "distillation": None}))

    def teacher_of(self, student: Student) -> Student | None:
        key = teacher_key(student, self.library)
        return None if key is None else self._find(TEACHERS, key)

    def _find(self, kind: str, key: str) -> Student | None:
        return self.given.get(key) or self.library.model(kind, key)
