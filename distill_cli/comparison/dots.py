"""Accuracy where nothing numeric differs: a dot with its error bar for each setting."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from distill_cli.comparison.columns import ABSENT
from distill_cli.comparison.measures import REFERENCES, WIDTH, Chart, Measure, told_of_references
from distill_cli.comparison.row import Row
from distill_cli.comparison.table import Table
from distill_cli.comparison.text import setting
from distill_cli.pages.charts import INK, MUTED, SERIES, axes_of, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_DOTS = 20
LETTERS, MOST_LINES = 24, 2  # of a label beside its dot
MARGIN, LINE = 0.1, 0.17  # inches: of a row, and of a line of its label
TICK = 0.36  # of a row: half the height of what the setting is measured against


def dot_chart(table: Table, measure: Measure) -> Chart:
    """The first settings of the table, from the top down."""
    known = [(row, found) for row in table.rows if (found := measure.of(row))]
    shown, places = known[:MOST_DOTS], range(min(len(known), MOST_DOTS))
    rows = [row for row, _ in shown]
    labels = [label(table, row) for row in rows]
    height = MARGIN + LINE * max(MOST_LINES, *(text.count("\n") + 1 for text in labels))
    figure, (axes,) = axes_of(width=WIDTH, height=1.2 + height * len(shown))
    means, bars = [100 * found.mean for _, found in shown], [found.bar for _, found in shown]
    axes.errorbar(means, places, xerr=bars, fmt="o", color=SERIES[0], capsize=3)
    draw_references(axes, measure, rows)
    axes.set_yticks(places, labels)
    axes.tick_params(axis="y", colors=INK)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlabel(f"{measure.name} accuracy, %")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper center", ncols=2)
    title = f"{measure.name.capitalize()} accuracy by setting"
    told = [f"{setting(table, row)}: {found.mean:.2%}." for row, found in shown]
    told += told_of_references(measure, rows)
    more = (f"{len(known) - len(shown)} more are in the table.",) if len(known) > len(shown) else ()
    return Chart(title, svg(figure, f"accuracy-{measure.name}", title, " ".join(told)), more)


def label(table: Table, row: Row) -> str:
    """`#3 adamw · kd · linear`. Cut where it has a rank, which the table has, too; else as long as it must be."""
    told = [cell for column in table.columns if (cell := column.cell(row.facts)) != ABSENT]
    words = ["baseline", *told] if row.role == "baseline" else told
    text = " · ".join(words) or row.name
    if row.rank is None:
        return "\n".join(wrap(text, LETTERS, break_on_hyphens=False))
    lines = wrap(
        f"#{row.rank} {text}", LETTERS, max_lines=MOST_LINES, placeholder=" …", break_on_hyphens=False
    )
    return "\n".join(lines)


def draw_references(axes: Axes, measure: Measure, rows: Sequence[Row]) -> None:
    """A line through all rows where they share a reference, else a tick at the height of each that has one."""
    for name, style in REFERENCES:
        known = [(n, measure.reference(name, row)) for n, row in enumerate(rows) if row.role == "student"]
        levels = [(place, 100 * level) for place, level in known if level is not None]
        drawn: dict[str, Any] = {"color": MUTED, "linestyle": style, "linewidth": 1.3, "label": name}
        if len(levels) == len(known) and len({level for _, level in levels}) == 1:
            axes.axvline(levels[0][1], **drawn)
        elif levels:
            tops, bottoms = ([place + side for place, _ in levels] for side in (-TICK, TICK))
            axes.vlines([level for _, level in levels], tops, bottoms, **drawn)
