"""What a page says of one row, cell by cell, and the notes below the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distill_cli.runtime.console import human_seconds
from tables.description import Run
from tables.measures import Measure
from tables.outcome import Outcome

ABSENT, NOT_RUN = "–", "not run"
BEST = "†"  # a figure of the best epoch


@dataclass
class Notes:
    """Numbered through the page; what is said twice has one number."""

    texts: list[str] = field(default_factory=list)
    shown: int = 0

    def number(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1

    def new(self) -> list[tuple[int, str]]:
        """Those that were not shown yet, with their numbers; now they are."""
        found = list(enumerate(self.texts, 1))[self.shown :]
        self.shown = len(self.texts)
        return found


def ours(one: Outcome, unit: Measure) -> str:
    """`74.3 ± 2.1`, with its unit where it is not the table's."""
    if one.figure is None:
        return "failed" if one.failed else NOT_RUN
    measure, figure = one.row.measure, one.figure
    spread = f" ± {measure.text(figure.std, figure.n)}" if figure.std is not None else ""
    return f"{measure.text(figure.mean, figure.n)}{spread}{_unit(measure, unit)}"


def count(one: Outcome) -> str:
    """`3`; `2 of 3` where runs are missing."""
    if one.figure is None:
        return ABSENT
    return f"{one.figure.n} of {one.figure.n + one.missing}" if one.missing else str(one.figure.n)


def published(one: Outcome, unit: Measure) -> str:
    figure = one.row.published
    if figure is None:
        return ABSENT
    return f"{figure.text}{_unit(one.row.measure, unit)}{BEST if figure.best_epoch else ''}"


def difference(one: Outcome) -> str:
    """`+0.31`; `**−1.20, worse**` where it is more than its noise."""
    if one.difference is None or one.figure is None:
        return ABSENT
    size = one.row.measure.text(abs(one.difference), one.figure.n)
    text = f"{'−' if one.difference < 0 else '+'}{size}" if float(size) else "0"
    return f"**{text}, {one.verdict}**" if one.verdict else text


def time(one: Outcome) -> str:
    return human_seconds(one.seconds) if one.seconds else ABSENT


def disk(one: Outcome, runs: Mapping[Run, Mapping[str, Any]]) -> str:
    """How large the soft labels are that the row's students learned from."""
    size = bytes_on_disk(one, runs)
    return ABSENT if size is None else megabytes(size)


def bytes_on_disk(one: Outcome, runs: Mapping[Run, Mapping[str, Any]]) -> int | None:
    if one.row.of in ("teacher", "baseline"):  # who learn from none
        return None
    known = (runs[run]["soft_labels"] for run in one.row.runs if run in runs)
    return next((labels["bytes"] for labels in known if labels), None)


def megabytes(size: int) -> str:
    """`1.20 MB`, `12.0 MB`, `1,200 MB`: three digits."""
    millions = float(f"{size / 1e6:.3g}")
    return f"{millions:,.0f} MB" if millions >= 100 else f"{millions:#.3g} MB"


def notes_of(one: Outcome, notes: Notes) -> str:
    """Numbers of what was found about the row, and of why it failed."""
    texts = [*one.row.notes, *([f"Failed: {one.failed}"] if one.failed else [])]
    return ", ".join(str(notes.number(text)) for text in texts)


def in_matrix(one: Outcome | None, unit: Measure, notes: Notes) -> str:
    """Ours over the published figure with the difference."""
    if one is None:
        return ABSENT
    n = f" ({count(one)})" if one.missing and one.figure else ""
    marks = f"<sup>{numbers}</sup>" if (numbers := notes_of(one, notes)) else ""
    below = "" if one.row.published is None else f"<br>*{published(one, unit)}*"
    apart = "" if one.difference is None else f" {difference(one)}"
    return f"{ours(one, unit)}{n}{marks}{below}{apart}"


def _unit(measure: Measure, unit: Measure) -> str:
    if measure == unit:
        return ""
    return " errors" if measure.name == "errors" else " %"
