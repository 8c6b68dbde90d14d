"""Accuracy where nothing numeric differs: a dot with its error bar for each setting."""

from __future__ import annotations

from distill_cli.comparison.measures import REFERENCES, WIDTH, Chart, Measure, told_of_references
from distill_cli.comparison.table import Table
from distill_cli.comparison.text import setting
from distill_cli.pages.charts import INK, MUTED, SERIES, axes_of, svg

MOST_DOTS = 20
MOST_LETTERS = 24  # of a name beside its dot
ROW = 0.32  # inches


def dot_chart(table: Table, measure: Measure) -> Chart:
    """The first settings of the table, from the top down."""
    known = [(setting(table, row), found) for row in table.rows if (found := measure.of(row))]
    shown, places = known[:MOST_DOTS], range(min(len(known), MOST_DOTS))
    rows = table.rows[: len(shown)]
    figure, (axes,) = axes_of(width=WIDTH, height=1.2 + ROW * len(shown))
    means, spreads = [100 * found.mean for _, found in shown], [100 * found.spread for _, found in shown]
    axes.errorbar(means, places, xerr=spreads, fmt="o", color=SERIES[0], capsize=3)
    for name, style in REFERENCES:
        for place, level in enumerate(measure.references(name, rows)):
            label = None if place else name
            axes.axvline(100 * level, color=MUTED, linestyle=style, linewidth=1.3, label=label)
    axes.set_yticks(places, [_short(name) for name, _ in shown])
    axes.tick_params(axis="y", colors=INK)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlabel(f"{measure.name} accuracy, %")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper center", ncols=2)
    title = f"{measure.name.capitalize()} accuracy by setting"
    told = [f"{name}: {found.mean:.2%}." for name, found in shown] + told_of_references(measure, rows)
    more = (f"{len(known) - len(shown)} more are in the table.",) if len(known) > len(shown) else ()
    return Chart(title, svg(figure, f"accuracy-{measure.name}", title, " ".join(told)), more)


def _short(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"
