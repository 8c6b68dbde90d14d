"""What students are measured against: the baseline of the same seed, and the teacher."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from distill_cli.artifacts.keys import key_of
from distill_cli.comparison.descent import Descent, setting_of
from distill_cli.comparison.facts import facts_of
from distill_cli.comparison.library import Library
from distill_cli.comparison.row import Row
from distill_cli.comparison.students import STUDENTS, Student


@dataclass(frozen=True)
class References:
    library: Library

    def row(self, alike: tuple[Student, ...], *, is_reference: bool = False) -> Row:
        """Raises `ArtifactError` where something the students were made from is damaged."""
        descent = Descent.of(alike[0], self.library)
        facts = facts_of(alike[0], descent)
        baselines = tuple(self.baseline_of(student) for student in alike)
        return Row(alike, facts, baselines, descent, is_reference=is_reference)

    def fold(self, students: Iterable[Student]) -> list[tuple[Student, ...]]:
        """Students of one setting together, by seed; settings in the order of their first student."""
        settings: dict[str, dict[str, Student]] = {}
        for student in students:
            settings.setdefault(setting_of(student, self.library), {})[student.key] = student
        return [
            tuple(sorted(alike.values(), key=lambda s: (s.seed or 0, s.name))) for alike in settings.values()
        ]

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """Baselines, then teachers, of `rows`; then what was given and taught nobody. None that is in `rows`."""
        rows = list(rows)
        baselines = [one for row in rows for one in row.baselines if one is not None]
        teachers = [teacher for row in rows for teacher in row.descent.teachers]
        known = {setting_of(row.students[0], self.library) for row in rows}
        models = [*baselines, *teachers, *self.library.given.values()]
        others = [model for model in models if setting_of(model, self.library) not in known]
        return [self.row(alike, is_reference=True) for alike in self.fold(others)]

    def baseline_of(self, student: Student) -> Student | None:
        """The same student from hard labels alone; a baseline has none itself."""
        if student.role != "student":
            return None
        return self.library.model(STUDENTS, key_of({**student.identity, "distillation": None}))
