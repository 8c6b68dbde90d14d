"""The folded table in words: the same cells for the terminal, for Markdown and for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_cli.comparison.columns import ABSENT
from distill_cli.comparison.figures import Figure
from distill_cli.comparison.row import Row
from distill_cli.comparison.table import Table

if TYPE_CHECKING:
    from rich.table import Table as RichTable


@dataclass(frozen=True)
class Heading:
    text: str
    is_text: bool = False  # else a number: to the right


def headings(table: Table) -> list[Heading]:
    """The first is that of the row's own name: its rank, or what it is."""
    first = [Heading("rank" if table.is_ranked else "model", is_text=True)]
    settings = [
        Heading(column.name, any(column.is_word(row.facts) for row in table.all_rows))
        for column in table.columns
    ]
    figures = ["validation, %", "test, %"]
    gains = ["gain, points", "gap closed, %"] if table.has_gains else []
    several = len(table.devices) > 1
    times = [f"latency, ms ({device})" if several else "latency, ms" for device in table.devices]
    return [*first, *settings, *map(Heading, (*figures, *gains, "n", "parameters", *times))]


def cells(table: Table, row: Row) -> list[str]:
    settings = [column.cell(row.facts) for column in table.columns]
    gains = [_gain(row), _percent(row.gap_closed)] if table.has_gains else []
    times = [_milliseconds(row.latency.get(device)) for device in table.devices]
    size = ABSENT if row.parameters is None else f"{row.parameters:,}"
    return [title(row), *settings, points(row.validation), points(row.test), *gains, str(row.n), size, *times]


def title(row: Row) -> str:
    """`3`, `3, baseline`, `teacher cnn`; without a rank the model's name."""
    if row.is_reference:
        return f"{row.role} {row.model}"
    return ", ".join([str(row.rank or row.model), *(["baseline"] if row.role == "baseline" else [])])


def setting(table: Table, row: Row) -> str:
    """`temperature 4, alpha 0.9`: what tells a row from the others."""
    told = [(column.name, column.cell(row.facts)) for column in table.columns]
    named = [f"{name} {cell}" for name, cell in told if cell != ABSENT]
    words = ["baseline"] if row.role == "baseline" else []
    return ", ".join([*words, *named]) or row.name


def points(figure: Figure | None, sign: str = "") -> str:
    """`91.23 ± 0.41`, in percent or percentage points."""
    if figure is None:
        return ABSENT
    mean = round(100 * figure.mean, 2) + 0.0  # no -0.00
    return f"{mean:{sign}.2f}" + ("" if figure.std is None else f" ± {100 * figure.std:.2f}")


def fewer(figure: Figure, row: Row) -> str:
    """` (n = 1)` where a figure has fewer seeds than its row, else nothing."""
    return f" (n = {figure.n})" if figure.n < row.n else ""


def markdown(table: Table, heading: str) -> str:
    rows = [[head.text for head in headings(table)], _rules(table)]
    rows += [cells(table, row) for row in table.all_rows]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    notes = "\n".join(f"- {note}" for note in table.notes)
    return f"# {heading}\n\n" + "\n".join(lines) + f"\n\n{notes}\n"


def terminal_table(table: Table, heading: str) -> RichTable:
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(
        title=Text(heading), title_justify="left", caption=table.notes[0], caption_justify="left"
    )
    for head in headings(table):
        shown.add_column(Text(head.text), justify="left" if head.is_text else "right")
    for place, row in enumerate(table.all_rows, 1):
        style = "dim" if row.is_reference else ""
        shown.add_row(*map(Text, cells(table, row)), style=style, end_section=place == len(table.rows))
    return shown


def _rules(table: Table) -> list[str]:
    return ["---" if head.is_text else "---:" for head in headings(table)]


def _gain(row: Row) -> str:
    return ABSENT if row.gain is None else points(row.gain, sign="+") + fewer(row.gain, row)


def _percent(fraction: float | None) -> str:
    return ABSENT if fraction is None else f"{100 * fraction:.0f}"


def _milliseconds(figure: Figure | None) -> str:
    return ABSENT if figure is None else f"{figure.mean:#.3g}".rstrip(".")
