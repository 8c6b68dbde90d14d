"""A row of the table: the students of one setting, one a seed, folded into figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from distill_cli.comparison.facts import Facts
from distill_cli.comparison.figures import Figure
from distill_cli.comparison.library import Measured
from distill_cli.comparison.students import Student

LATENCY = "latency_ms_b1_p50"  # one picture, median


@dataclass(frozen=True)
class Row:
    """`baselines` has one for each student, or None where it is not there."""

    students: tuple[Student, ...]
    facts: Facts
    baselines: tuple[Student | None, ...]
    teacher: Student | None
    measured: Mapping[str, Measured] = field(default_factory=dict)  # by a student's key
    is_reference: bool = False  # what the others are measured against
    rank: int | None = None

    @property
    def role(self) -> str:
        """student, baseline or teacher."""
        return self.students[0].role

    @property
    def setting(self) -> str:
        return self.students[0].setting

    @property
    def name(self) -> str:
        return self.students[0].name

    @property
    def model(self) -> str:
        """The name of its architecture."""
        return str(self.students[0].model.get("name", ""))

    @property
    def n(self) -> int:
        return len(self.students)

    @property
    def parameters(self) -> int | None:
        """The same for all seeds: they share the model's spec."""
        return self.students[0].parameters

    @cached_property
    def validation(self) -> Figure | None:
        return Figure.of(student.validation for student in self.students)

    @cached_property
    def test(self) -> Figure | None:
        return Figure.of(student.test for student in self.students)

    @cached_property
    def gains(self) -> tuple[float | None, ...]:
        """Test accuracy over the baseline of the same seed, student by student."""
        pairs = zip(self.students, self.baselines, strict=True)
        return tuple(
            None if other is None or one.test is None or other.test is None else one.test - other.test
            for one, other in pairs
        )

    @cached_property
    def gain(self) -> Figure | None:
        return Figure.of(self.gains)

    @property
    def gap_closed(self) -> float | None:
        """Mean gain as a part of what lies between baseline and teacher; None where nothing does."""
        pairs = zip(self.gains, self.baselines, strict=True)
        alone = [other.test for gain, other in pairs if gain is not None and other and other.test is not None]
        if self.gain is None or self.teacher is None or self.teacher.test is None:
            return None
        gap = self.teacher.test - fmean(alone)
        return self.gain.mean / gap if gap > 0 else None

    @cached_property
    def latency(self) -> dict[str, Figure]:
        """In milliseconds, by the device that measured it."""
        known = [self.measured[student.key] for student in self.students if student.key in self.measured]
        figures = {
            device: Figure.of(one.figures.get(LATENCY) for one in known if one.device == device)
            for device in sorted({one.device for one in known})
        }
        return {device: figure for device, figure in figures.items() if figure is not None}


def fold(students: Iterable[Student]) -> list[tuple[Student, ...]]:
    """Students of one setting together, by seed; settings in the order of their first student."""
    settings: dict[str, dict[str, Student]] = {}
    for student in students:
        settings.setdefault(student.setting, {})[student.key] = student
    return [tuple(sorted(alike.values(), key=lambda s: (s.seed or 0, s.name))) for alike in settings.values()]
