"""An axis with a tick at each of its values, logarithmic where they span a lot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 8  # largest over smallest value, beyond which the axis is logarithmic
MARGIN = 0.06


def scale(axes: Axes, values: Iterable[float | None], room: float = 0.07) -> bool:
    """Set limits and ticks of the x-axis; True where it is logarithmic. A tick's label takes `room` of the axis."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    known = sorted({value for value in values if value is not None})
    is_log = known[0] > 0 and known[-1] / known[0] >= WIDE
    if is_log:
        axes.set_xscale("log")
        stretch = (known[-1] / known[0]) ** MARGIN
        axes.set_xlim(known[0] / stretch, known[-1] * stretch)
    else:
        margin = MARGIN * (known[-1] - known[0]) or 0.5
        axes.set_xlim(known[0] - margin, known[-1] + margin)
    axes.xaxis.set_major_locator(FixedLocator(_apart(known, is_log, room)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: human(value)))
    return is_log


def human(value: float) -> str:
    """0.001, 20, 4.1k, 1.2M"""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            unit = 1e3 if letter == "k" else limit
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _apart(values: Sequence[float], is_log: bool, room: float) -> list[float]:
    """Those with room for their label; the first and the last always."""
    where = [log(value) for value in values] if is_log else list(values)
    least = room * (where[-1] - where[0])
    kept = [0]
    for place in range(1, len(values)):
        if where[place] - where[kept[-1]] >= least:
            kept.append(place)
    if kept[-1] != len(values) - 1:
        kept[-1] = len(values) - 1 if len(kept) > 1 else kept[-1]
    return [values[place] for place in kept]
