"""Accuracy along a numeric setting: a line for each value of a second one, a chart for each of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_cli.comparison.columns import Column
from distill_cli.comparison.dots import dot_chart
from distill_cli.comparison.layout import Layout, Panel, Series, layout_of
from distill_cli.comparison.measures import (
    HEIGHT,
    REFERENCES,
    WIDTH,
    Chart,
    Measure,
    measures_of,
    told_of_references,
)
from distill_cli.comparison.row import Row
from distill_cli.comparison.scales import scale
from distill_cli.comparison.table import Table
from distill_cli.pages.charts import MUTED, axes_of, series, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DODGE = 0.008  # of the axis between two lines, so that their error bars stand beside each other
MARGIN = 0.06


def accuracy_charts(table: Table) -> list[Chart]:
    """What ranks, and test beside it where there is room. The caller has opened `drawing()`."""
    layout, measures = layout_of(table), measures_of(table)
    if layout is None:
        return [dot_chart(table, measure) for measure in measures]
    shown = measures if len(layout.panels) == 1 else measures[:1]
    return [_chart(layout, number, measure) for measure in shown for number in range(len(layout.panels))]


def _chart(layout: Layout, number: int, measure: Measure) -> Chart:
    x, panel = layout.x, layout.panels[number]
    figure, (axes,) = axes_of(width=WIDTH, height=HEIGHT)
    is_log = scale(axes, [x.number(row.facts) for one in layout.panels for row in one.rows])
    axes.set_ylim(_limits(layout, measure))
    for place, one in enumerate(panel.series):
        _draw(axes, _Curve(x, one, measure), place, (place - (len(panel.series) - 1) / 2) * DODGE, is_log)
    _draw_references(axes, x, panel, measure)
    axes.set_xlabel(x.name)
    axes.set_ylabel(f"{measure.name} accuracy, %")
    if len(axes.get_legend_handles_labels()[0]) > 1:
        figure.legend(loc="outside upper center", ncols=2)
    title = f"{measure.name.capitalize()} accuracy by {x.name}" + (f": {panel.title}" if panel.title else "")
    told = [_told(_Curve(x, one, measure)) for one in panel.series]
    description = " ".join([*told, *told_of_references(measure, panel.rows)])
    return Chart(title, svg(figure, f"accuracy-{measure.name}-{number}", title, description))


class _Curve:
    """The points of a series that have a figure."""

    def __init__(self, x: Column, one: Series, measure: Measure) -> None:
        known = [(x.number(row.facts), measure.of(row), row) for row in one.rows]
        self.points = [(at, figure, row) for at, figure, row in known if at is not None and figure]
        self.name, self.is_line, self.x = one.name, one.is_line, x


def _draw(axes: Axes, curve: _Curve, place: int, shift: float, is_log: bool) -> None:
    low, high = axes.get_xlim()
    moved = [at * (high / low) ** shift if is_log else at + (high - low) * shift for at, _, _ in curve.points]
    style = series(place)
    axes.errorbar(
        moved,
        [100 * figure.mean for _, figure, _ in curve.points],
        [figure.bar for _, figure, _ in curve.points],
        color=style["color"],
        marker=style["marker"],
        linestyle="-" if curve.is_line else "none",
        capsize=3,
        markersize=5,
        label=curve.name or "students",
    )


def _draw_references(axes: Axes, x: Column, panel: Panel, measure: Measure) -> None:
    """A level line where all points share a reference, else a line through what each of them has."""
    for name, style in REFERENCES:
        levels = measure.references(name, panel.rows)
        if len(levels) == 1:
            axes.axhline(100 * levels[0], color=MUTED, linestyle=style, linewidth=1.3, label=name)
        for place, one in enumerate(panel.series if len(levels) > 1 else ()):
            known = [(x.number(row.facts), measure.reference(name, row)) for row in one.rows]
            points = [(at, 100 * level) for at, level in known if at is not None and level is not None]
            color, label = series(place)["color"], name if place == 0 else None
            axes.plot(*zip(*points, strict=True), color=color, linestyle=style, linewidth=1.3, label=label)


def _limits(layout: Layout, measure: Measure) -> tuple[float, float]:
    """In percent; the same for all panels."""
    rows = [row for panel in layout.panels for row in panel.rows]
    ends = [level for name, _ in REFERENCES for level in measure.references(name, rows)]
    ends += [end for row in rows for end in _ends(row, measure)]
    margin = MARGIN * (max(ends) - min(ends)) or 0.01
    return 100 * (min(ends) - margin), 100 * (max(ends) + margin)


def _ends(row: Row, measure: Measure) -> list[float]:
    figure = measure.of(row)
    return [] if figure is None else [figure.mean - figure.spread, figure.mean + figure.spread]


def _told(curve: _Curve) -> str:
    """What one sees, in a sentence."""
    if not curve.points:
        return f"{curve.name}: no figures."
    worst, *_, best = sorted(curve.points * 2, key=lambda point: point[1].mean)
    return (
        f"{curve.name or 'Students'}, {len(curve.points)} points: best {best[1].mean:.2%} at {curve.x.name} "
        f"{curve.x.cell(best[2].facts)}, worst {worst[1].mean:.2%} at {curve.x.cell(worst[2].facts)}."
    )
