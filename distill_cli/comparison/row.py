"""A row of the table: the students of one setting, one a seed, folded into figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from distill_cli.comparison.descent import Descent
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
    descent: Descent
    measured: Mapping[str, Measured] = field(default_factory=dict)  # by a student's key
    is_reference: bool = False  # what the others are measured against
    rank: int | None = None

    @property
    def role(self) -> str:
        """student, baseline or teacher."""
        return self.students[0].role

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

    def of_teacher(self, part: str) -> float | None:
        """Accuracy on `test` or `validation`; of several teachers that speak as one, as a report has it."""
        if len(self.descent.teachers) == 1 and not self.descent.gone:
            (teacher,) = self.descent.teachers
            return teacher.test if part == "test" else teacher.validation
        figure = "top1" if part == "test" else "validation_top1"
        told = (self.measured[one.key].teacher for one in self.students if one.key in self.measured)
        return next((of_one[figure] for of_one in told if of_one.get(figure) is not None), None)

    @property
    def gap_closed(self) -> float | None:
        """Mean gain as a part of what lies between baseline and teacher; None where nothing does."""
        pairs = zip(self.gains, self.baselines, strict=True)
        alone = [other.test for gain, other in pairs if gain is not None and other and other.test is not None]
        teacher = self.of_teacher("test")
        if self.gain is None or teacher is None:
            return None
        gap = teacher - fmean(alone)
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
