"""Charts as SVG that is part of a page: it takes its colours and its font from there, in light and dark.

matplotlib knows no CSS variables, so each of the page's colours is drawn as a colour that nothing else has, and
given its name afterwards. Text stays text. Equal figures are equal bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# What a chart may use, and the page's name for it (see templates/base.html).
INK, MUTED, GRID, PAPER = "#010101", "#010102", "#010103", "#010104"
SERIES = ("#010111", "#010112", "#010113", "#010114", "#010115", "#010116", "#010117", "#010118")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # never colour alone
NAMES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES, 1)
}
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "distill-cli",
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.transparent": True,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Within it figures are made and written in the page's style; matplotlib's own settings stay as they were."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):  # type: ignore[arg-type]
        yield


def axes_of(
    columns: int = 1, rows: int = 1, width: float = 7.0, height: float = 3.6
) -> tuple[Figure, list[Axes]]:
    """A figure of `width` × `height` inches with its axes, row by row. No pyplot: nothing is kept behind it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def one_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """With margins for numbers of five digits: to find out what they need takes as long as drawing."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    left, bottom, right, top = 0.68 / width, 0.52 / height, 1 - 0.12 / width, 1 - 0.12 / height
    axes = figure.add_axes((left, bottom, right - left, top - bottom))
    axes.xaxis.set_label_coords(0.5, 0.24 / height, transform=figure.transFigure)
    axes.yaxis.set_label_coords(0.16 / width, 0.5, transform=figure.transFigure)
    return figure, axes


def few_ticks(axis: Axis, *, integer: bool = False) -> None:
    """Round numbers within what is shown. matplotlib's own choice has more, some of them outside: 1 ms each."""
    from matplotlib.ticker import MaxNLocator

    low, high = axis.get_view_interval()
    locator = MaxNLocator(4, integer=integer, steps=[1, 2, 2.5, 5, 10], min_n_ticks=1)
    values = locator.tick_values(low, high)
    axis.set_ticks([value for value in values if low <= value <= high])


def series(number: int) -> dict[str, str]:
    """Colour and marker of a line; they repeat after eight."""
    return {"color": SERIES[number % len(SERIES)], "marker": MARKERS[number % len(MARKERS)]}


def svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an `<svg>` element.

    `name` is unique on the page. `title` and `description` are what a screen reader says instead.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"font-family: [^;\"]*; ", "", text)  # the page's own
    for colour, variable in NAMES.items():
        text = text.replace(colour, f"var(--{variable})")
    opening = text[: text.index(">") + 1]
    view = re.search(r'viewBox="([^"]*)"', opening)
    assert view is not None, "matplotlib writes a viewBox"
    head = (
        f'<svg role="img" aria-labelledby="{name}-title {name}-desc" viewBox="{view[1]}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return head + text[len(opening) :].strip()
