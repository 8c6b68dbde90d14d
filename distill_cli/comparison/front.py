"""The Pareto front: what no other setting beats in both accuracy and cost, where cost is size or time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from distill_cli.artifacts.keys import canonical_json
from distill_cli.comparison.measures import HEIGHT, WIDTH, Chart, measures_of
from distill_cli.comparison.row import Row
from distill_cli.comparison.scales import scale
from distill_cli.comparison.table import Table
from distill_cli.comparison.text import setting
from distill_cli.pages.charts import INK, MUTED, SERIES, axes_of, svg
from distill_cli.runtime.console import counted

HOLLOW = (("baseline", "v"), ("teacher", "^"))  # what is no setting, and the mark of each
ROOM = 0.18  # of the axis, for a tick's label


@dataclass(frozen=True)
class Point:
    row: Row
    cost: float
    accuracy: float


def front(points: Sequence[Point]) -> list[Point]:
    """By rising cost. Of equals the first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.accuracy)):
        if not kept or point.accuracy > kept[-1].accuracy:
            kept.append(point)
    return kept


def sizes(table: Table) -> list[int]:
    return sorted({row.parameters for row in table.rows if row.parameters is not None})


def front_charts(table: Table) -> list[Chart]:
    """None where all settings have one size: there is nothing to trade. The caller has opened `drawing()`."""
    if len(sizes(table)) < 2:
        return []
    charts = [_chart(table, "parameters", "parameters", [row.parameters for row in table.all_rows])]
    if table.devices:
        device = max(table.devices, key=lambda name: sum(name in row.latency for row in table.rows))
        times = _latencies(table.all_rows, device)
        if len({time for time in times if time is not None}) > 1:
            chart = _chart(table, "latency, ms", f"latency of one picture on {device}", times)
            charts.append(replace(chart, told=(*chart.told, *_told_of_times(table, times))))
    return charts


def _told_of_times(table: Table, times: Sequence[float | None]) -> Iterator[str]:
    yield "A model's time is the mean over the reports of its network, whichever setting they are about."
    missing = Counter(row.model for row, time in zip(table.rows, times, strict=False) if time is None)
    if missing:
        models = ", ".join(f"{counted(number, 'setting')} of {model}" for model, number in missing.items())
        yield f"Not measured: {models}; distill evaluate measures them."


def _latencies(rows: Sequence[Row], device: str) -> list[float | None]:
    """The mean over all rows of a model: it takes the same time however it was trained."""
    models = [canonical_json(row.students[0].identity.get("model")) for row in rows]
    known: dict[str, list[float]] = {}
    for model, row in zip(models, rows, strict=True):
        if device in row.latency:
            known.setdefault(model, []).append(row.latency[device].mean)
    return [fmean(known[model]) if model in known else None for model in models]


def _chart(table: Table, label: str, cost: str, costs: Sequence[float | None]) -> Chart:
    measure = measures_of(table)[0]
    figure, (axes,) = axes_of(width=WIDTH, height=HEIGHT)
    found = [(row, price, measure.of(row)) for row, price in zip(table.all_rows, costs, strict=True)]
    points = [Point(row, price, f.mean) for row, price, f in found if price is not None and f is not None]
    ranked = [point for point in points if not point.row.is_reference]
    best = front(ranked)
    scale(axes, [point.cost for point in points], room=ROOM)
    axes.plot(*_xy(ranked), "o", color=MUTED, markersize=4, label="settings")
    axes.step(*_xy(best), "s-", where="post", color=SERIES[0], markersize=7, label="front")
    for role, mark in HOLLOW:
        others = [point for point in points if point.row.is_reference and point.row.role == role]
        if others:
            axes.plot(*_xy(others), mark, color=INK, fillstyle="none", label=role)
    for point in best:
        place, is_last = (point.cost, 100 * point.accuracy), point is best[-1]
        offset, side = ((-7, -4), "right") if is_last else ((6, -12), "left")
        axes.annotate(_number(point), place, offset, textcoords="offset points", ha=side)
    axes.set_xlabel(label)
    axes.set_ylabel(f"{measure.name} accuracy, %")
    figure.legend(loc="outside upper center", ncols=2)
    title = f"{measure.name.capitalize()} accuracy against {cost}"
    told = tuple(_told(table, best, label))
    return Chart(
        title, svg(figure, f"front-{label.partition(',')[0]}", title, f"On the front: {' '.join(told)}"), told
    )


def _xy(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.cost for point in points], [100 * point.accuracy for point in points]


def _told(table: Table, best: Sequence[Point], label: str) -> Iterator[str]:
    """The points on the front, the cheapest first."""
    name, _, unit = label.partition(", ")
    for point in best:
        cost = f"{point.cost:,.3g} {unit}" if unit else f"{point.cost:,.0f} {name}"
        yield f"{_number(point)} {setting(table, point.row)}: {point.accuracy:.2%} with {cost}.".lstrip()


def _number(point: Point) -> str:
    return f"#{point.row.rank}" if point.row.rank else ""
