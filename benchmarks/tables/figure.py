"""The chart of a table whose rows lie on an axis: figures against a number, mean ± standard deviation, as SVG.

It is a picture of its own, on a light ground with the light colours of the project's pages, so that it reads the
same on a dark one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from math import nan
from typing import TYPE_CHECKING

from distill_cli.comparison.figures import Figure
from distill_cli.pages.charts import axes_of, drawing, series, svg
from tables.cells import bytes_on_disk, megabytes
from tables.description import Section, Table
from tables.outcome import Outcome
from tables.records import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 7.0, 3.8  # inches
PIXELS = 720
Line = tuple[Section, list[tuple[str, Figure]]]  # a section, with what is known of it: place and figure


def caption(table: Table, results: Results) -> str:
    """What the chart shows, in words for who cannot see it; empty where there is none."""
    if table.chart is None or not (lines := list(_lines(table, results))):
        return ""
    told = (
        f"{section.title or table.measure.in_words}: "
        + ", ".join(f"{at}: {table.measure.text(figure.mean, figure.n)}" for at, figure in points)
        for section, points in lines
    )
    return f"{table.title}, {table.measure.in_words} by {table.chart.x}. {'. '.join(told)}."


def draw(table: Table, results: Results) -> str | None:
    """The picture; None where there is nothing to show."""
    told = caption(table, results)
    if not told or table.chart is None:
        return None
    places = _places(table)
    with drawing():
        figure, (axes,) = axes_of(width=WIDTH, height=HEIGHT)
        for number, (section, points) in enumerate(_lines(table, results)):
            _draw(axes, section.title, [(places.index(at), found) for at, found in points], number)
        axes.set_xticks(range(len(places)), _ticks(table, results, places))
        axes.set_xlim(-0.4, len(places) - 0.6)
        axes.set_xlabel(table.chart.x)
        axes.set_ylabel(table.measure.in_words)
        if len(table.sections) > 1:
            figure.legend(loc="outside upper center", ncols=3)
        return _alone(svg(figure, table.name, table.title, told))


def _draw(axes: Axes, label: str, points: list[tuple[int, Figure]], number: int) -> None:
    xs, means = [x for x, _ in points], [found.mean for _, found in points]
    spread = [found.std for _, found in points]
    bars = None if not any(spread) else [nan if std is None else std for std in spread]
    shift = 0.06 * number  # bars of several lines side by side
    axes.errorbar(
        [x + shift for x in xs], means, yerr=bars, label=label, capsize=3, markersize=5, **series(number)
    )


def _lines(table: Table, results: Results) -> Iterator[Line]:
    for section in table.sections:
        found = ((row.at, Outcome.of(row, table, results).figure) for row in section.rows)
        points = [(at, figure) for at, figure in found if at is not None and figure is not None]
        if points:
            yield section, points


def _places(table: Table) -> list[str]:
    """Along the axis, evenly, in the order of the rows."""
    return list(dict.fromkeys(row.at for row in table.rows if row.at is not None))


def _ticks(table: Table, results: Results, places: list[str]) -> list[str]:
    """With the size of the soft labels below, where the chart shows it and it is not the same everywhere."""
    sizes: dict[str, str] = {}
    for row in table.rows if table.chart and table.chart.disk else ():
        size = bytes_on_disk(Outcome.of(row, table, results), results.runs)
        if row.at is not None and size is not None:
            sizes[row.at] = f"\n{megabytes(size)}"
    if len(sizes) > 1 and len({*sizes.values()}) == 1:
        sizes = {}
    return [place + sizes.get(place, "") for place in places]


def _alone(drawing: str) -> str:
    """The element as a file: with colours for the names that a page has for them, and a ground."""
    for name, colour in _colours().items():
        drawing = drawing.replace(f"var(--{name})", colour)
    ground = f'<rect width="100%" height="100%" fill="{_colours()["paper"]}"/>'
    head, _, rest = drawing.partition("</desc>")
    own = f'<svg width="{PIXELS}" font-family="system-ui, sans-serif" '
    return f"{head.replace('<svg ', own, 1)}</desc>{ground}{rest}\n"


@cache
def _colours() -> dict[str, str]:
    """The pages' light ones."""
    page = files("distill_cli.pages").joinpath("templates/base.html").read_text(encoding="utf-8")
    light = page[page.index(":root") :].partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#\w+);", light))
