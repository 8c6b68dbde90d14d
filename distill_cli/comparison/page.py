"""The page: who is best and by how much, the charts, the table, and how to make each point again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from distill_cli.comparison.accuracy import accuracy_charts
from distill_cli.comparison.columns import ABSENT
from distill_cli.comparison.figures import Figure
from distill_cli.comparison.front import front_charts, sizes
from distill_cli.comparison.layout import layout_of
from distill_cli.comparison.row import Row
from distill_cli.comparison.table import Table
from distill_cli.comparison.text import cells, fewer, headings, points, setting, title
from distill_cli.pages.charts import drawing
from distill_cli.pages.page import render


@dataclass(frozen=True)
class Card:
    value: str
    label: str


def page(table: Table, heading: str) -> str:
    with drawing():
        charts, fronts = accuracy_charts(table), front_charts(table)
    best = table.rows[0] if table.is_ranked else None
    return render(
        "comparison.html",
        title=heading,
        headline=_headline(table, best) if best else "",
        cards=list(_cards(best)) if best else [],
        notes=table.notes,
        charts=charts,
        hidden=_hidden(table),
        fronts=fronts,
        one_size="" if fronts else _one_size(table),
        caption="The best by validation first" if best else "In the order of their settings",
        headings=headings(table),
        rows=[(row, cells(table, row)) for row in table.all_rows],
        recipes=[(_recipe(table, row), _commands(row)) for row in table.all_rows],
    )


def _headline(table: Table, best: Row) -> str:
    words = f"Best by validation: {setting(table, best)}"
    if len(table.rows) == 1 or best.validation is None or not best.validation.spread:
        return f"{words}."
    least = best.validation.mean - best.validation.spread
    near = sum(row.validation is not None and row.validation.mean >= least for row in table.rows[1:])
    if not near:
        return f"{words}. No other setting comes within its standard deviation."
    lie = "lies" if near == 1 else "lie"
    return f"{words}. {near} of the other {len(table.rows) - 1} {lie} within its standard deviation."


def _cards(best: Row) -> Iterator[Card]:
    yield _card(best.test, "%", "test accuracy of the best setting")
    yield _card(best.validation, "%", "its validation accuracy, flattered by the choice")
    if best.gain:
        yield _card(best.gain, "", "points over its baseline on test" + _fewer(best), sign="+")
    teacher = best.of_teacher("test")
    if teacher is not None and best.test:
        yield Card(f"{100 * (best.test.mean - teacher):+.2f}", "points to its teacher on test")
    if best.gap_closed is not None:
        yield Card(f"{best.gap_closed:.0%}", "of the gap from baseline to teacher closed" + _fewer(best))


def _card(figure: Figure | None, unit: str, label: str, sign: str = "") -> Card:
    mean, _, spread = points(figure, sign).partition(" ± ")
    over = f" (±\u00a0{spread}, n\u00a0=\u00a0{figure.n})" if figure and spread else ""
    return Card(f"{mean} {unit}".rstrip(), label + over)


def _fewer(best: Row) -> str:
    """Where a card has its n already, nothing."""
    return fewer(best.gain, best).replace(" =", "\u00a0=\u00a0") if best.gain and not best.gain.std else ""


def _hidden(table: Table) -> str:
    layout = layout_of(table)
    if layout is None or not layout.hidden:
        return ""
    shown, all_panels = len(layout.panels), len(layout.panels) + layout.hidden
    return f"Shown are the {shown} of {all_panels} combinations that hold the best settings; all are in the table."


def _one_size(table: Table) -> str:
    (size, *_) = (*sizes(table), None)
    if size is None:
        return ""
    return f"All settings have one size, {size:,} parameters: there is no size to trade for accuracy."


def _recipe(table: Table, row: Row) -> str:
    if row.is_reference:
        return title(row)
    return f"#{row.rank} {setting(table, row)}" if row.rank else setting(table, row)


def _commands(row: Row) -> list[tuple[str, str]]:
    return [(_seed(row, place), student.command or ABSENT) for place, student in enumerate(row.students)]


def _seed(row: Row, place: int) -> str:
    seed = row.students[place].seed
    return row.students[place].name if seed is None else f"seed {seed}"
