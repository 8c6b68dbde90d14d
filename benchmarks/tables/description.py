"""What a table is: its rows, and of each the command, whose figure it shows, and what is published.

`benchmarks/tables/NAME.yaml` says it; `expansion.py` reads it. Where its words have the place {seed}, a row is a
run for each of its seeds; rows with the same words share their runs.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import NewType

from tables.measures import Measure

SEED = "{seed}"
Run = NewType("Run", str)  # what follows `distill run`, as one types it


def words_of(run: str) -> list[str]:
    return shlex.split(run)


@dataclass(frozen=True)
class Published:
    """A figure, or a range of figures; `text` is how it was published."""

    low: float
    high: float
    text: str
    runs: int | None = None  # that it is the mean of, where that is known
    best_epoch: bool = False  # of the best epoch on test, not of the last
    compares: bool = True  # False: shown, but of another task

    @classmethod
    def of(cls, value: object, **more: object) -> Published:
        """Raises `ValueError` where it is neither a figure nor a range."""
        ends = value if isinstance(value, list) else [value, value]
        low, high = (float(str(end)) for end in ends)
        if not -inf < low <= high < inf:
            raise ValueError(value)
        return cls(low, high, " to ".join(dict.fromkeys(map(str, ends))), **more)  # type: ignore[arg-type]

    def difference(self, ours: float) -> float:
        """From the nearest end of a range; 0 within."""
        return ours - min(max(ours, self.low), self.high)


@dataclass(frozen=True)
class Row:
    label: str
    words: tuple[str, ...]  # after `distill run`
    of: str  # teacher, student, baseline, uncorrected
    measure: Measure
    seeds: tuple[int, ...]
    published: Published | None = None
    remarks: tuple[str, ...] = ()  # what must be known
    found: tuple[str, ...] = ()  # why its figure is as it is
    at: str | None = None  # where it is on the chart's axis
    turn: int = 0  # rows of turn 0 are run first

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.remarks, *self.found)

    @property
    def runs(self) -> list[Run]:
        """One for each seed; a single one, where no word has a place for it."""
        every = (shlex.join(word.replace(SEED, str(seed)) for word in self.words) for seed in self.seeds)
        return [Run(run) for run in dict.fromkeys(every)]

    def of_seeds(self, seeds: Collection[int]) -> Row:
        """With those of its seeds alone; all of them, where none is named."""
        return replace(self, seeds=tuple(seed for seed in self.seeds if seed in seeds or not seeds))

    @property
    def command(self) -> str:
        """For all seeds, as one types it. Words beside `seed={seed}` follow it by interpolation."""
        places = [word for word in self.words if SEED in word]
        if len(self.seeds) == 1 or not places:
            return f"distill run {self.runs[0]}"
        leader = f"seed={SEED}" if f"seed={SEED}" in places else places[0]
        key, seeds = leader.partition("=")[0], ",".join(map(str, self.seeds))
        others = [word.replace(SEED, f"${{{key}}}") for word in self.words if word != leader]
        return f"distill run -m {shlex.join([leader.replace(SEED, seeds), *others])}"


@dataclass(frozen=True)
class Section:
    title: str  # empty: the only one
    words: tuple[str, ...]  # that its rows share
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Chart:
    """Figures against a number; a section is a line."""

    x: str  # what the number is
    disk: bool = False  # with the size of the soft labels


@dataclass(frozen=True)
class Table:
    name: str
    title: str
    about: str  # paragraphs: what is published, and where
    measure: Measure
    sections: tuple[Section, ...]
    best_epoch: float | None = None  # how far the best epoch on test lies above the last one, as is known
    found: str = ""  # paragraphs below the table: what it shows
    matrix: bool = False  # sections are columns
    baseline: bool = True  # whether each run trains a student without a teacher, too
    chart: Chart | None = None
    get: str = ""  # where its data comes from, where nothing downloads it

    @cached_property
    def rows(self) -> list[Row]:
        return [row for section in self.sections for row in section.rows]

    @cached_property
    def runs(self) -> list[Run]:
        """In the order in which they are run, each once."""
        in_turn = sorted(self.rows, key=lambda row: row.turn)
        return list(dict.fromkeys(run for row in in_turn for run in row.runs))

    def rows_of(self, run: Run) -> Iterator[Row]:
        return (row for row in self.rows if run in row.runs)

    def classes_of(self, run: Run) -> list[str]:
        """Whose recall its rows show."""
        return sorted({row.measure.of_class for row in self.rows_of(run) if row.measure.of_class})


@dataclass(frozen=True)
class Page:
    """One table, or several under a title of their own."""

    name: str
    title: str
    about: str
    tables: tuple[Table, ...]
    found: str = ""
