"""What a chart of accuracy shows: one numeric setting along the axis, one a line, the others in panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill_cli.comparison.columns import Column
from distill_cli.comparison.row import Row
from distill_cli.comparison.table import Table

ON_THE_AXIS, ON_LINES = "temperature", "alpha"  # where these differ
MOST_LINES = 8  # as many as have a colour and a marker
MOST_PANELS = 6


@dataclass(frozen=True)
class Series:
    name: str  # `alpha 0.5`; empty where there is one only
    rows: tuple[Row, ...]  # along the axis
    is_line: bool = True


@dataclass(frozen=True)
class Panel:
    title: str
    series: tuple[Series, ...]

    @property
    def rows(self) -> list[Row]:
        return [row for one in self.series for row in one.rows]


@dataclass(frozen=True)
class Layout:
    x: Column
    panels: tuple[Panel, ...]  # the best first
    hidden: int  # panels that are not shown


def layout_of(table: Table) -> Layout | None:
    """None where nothing numeric differs. A setting with too many values for lines or panels makes dots of them."""
    x = _axis(table)
    if x is None:
        return None
    rows = [row for row in table.rows if x.number(row.facts) is not None]
    counts = {
        column: len({column.cell(row.facts) for row in rows}) for column in table.columns if column != x
    }
    few = [column for column, count in counts.items() if 1 < count <= MOST_LINES]
    line = max(few, key=lambda column: (column.name == ON_LINES, counts[column]), default=None)
    is_line = max(counts.values(), default=1) <= MOST_LINES
    panels = [
        Panel(title, _series(x, line, group, is_line))
        for title, group in _groups(rows, [column for column in few if column != line]).items()
    ]
    return Layout(x, tuple(panels[:MOST_PANELS]), max(0, len(panels) - MOST_PANELS))


def _axis(table: Table) -> Column | None:
    """Of the numeric settings the favourite, else the one with most values."""

    def values(column: Column) -> int:
        return len({column.number(row.facts) for row in table.rows} - {None})

    numeric = [column for column in table.columns if values(column) > 1]
    return max(numeric, key=lambda column: (column.name == ON_THE_AXIS, values(column)), default=None)


def _series(x: Column, line: Column | None, rows: Sequence[Row], is_line: bool) -> tuple[Series, ...]:
    def place(row: Row) -> float:
        return x.number(row.facts) or 0.0

    def order(name: str) -> tuple[float, str]:
        number = line.number(groups[name][0].facts) if line else None
        return float("inf") if number is None else number, name

    groups = _groups(rows, [line] if line else [])
    return tuple(
        Series(name, tuple(sorted(groups[name], key=place)), is_line) for name in sorted(groups, key=order)
    )


def _groups(rows: Sequence[Row], columns: Sequence[Column]) -> dict[str, list[Row]]:
    """Rows that agree in these columns, under a name such as `alpha 0.5`."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        name = ", ".join(f"{column.name} {column.cell(row.facts)}" for column in columns)
        groups.setdefault(name, []).append(row)
    return groups
