"""The charts of a report's page, each drawn from report.json alone, and each with the words that say the same.

They have no legend: the page has it, beside them, where it hides no data and costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distill_cli.evaluation.report import ROLES
from distill_cli.pages.charts import MUTED, drawing, few_ticks, one_axes, series, svg

WIDTH, HEIGHT = 4.6, 3.5  # inches: two fit side by side, and one is as wide as a phone
QUARTERS = (0, 0.25, 0.5, 0.75, 1)
SMALLEST, LARGEST = 8, 160  # areas of a mark without samples, and of one with all of them
STYLES: dict[str, dict[str, Any]] = {role: series(number) for number, role in enumerate(ROLES)}


def reliability_chart(report: Mapping[str, Any]) -> str:
    """Accuracy against confidence, bin by bin, for all models."""
    found = {role: report["calibration"][role] for role in ROLES if report["calibration"][role]}
    with drawing():
        figure, axes = one_axes(WIDTH, HEIGHT)
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":")
        for role, bins in found.items():
            sure, right, counts = (
                [one[name] for one in bins] for name in ("confidence", "accuracy", "count")
            )
            sizes = [SMALLEST + LARGEST * count / sum(counts) for count in counts]
            axes.plot(sure, right, color=STYLES[role]["color"], linewidth=1, alpha=0.5)
            axes.scatter(sure, right, sizes, **STYLES[role])
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(-0.02, 1.02))
        axes.set(xticks=QUARTERS, yticks=QUARTERS)
        says = ". ".join(calibration_in_words(report, role) for role in found)
        return svg(figure, "reliability", "Reliability: accuracy against confidence", says)


def calibration_in_words(report: Mapping[str, Any], role: str) -> str:
    """`student: right in 98.4%, sure of 97.2%, calibration error 1.2%`"""
    bins = report["calibration"][role]
    samples = sum(one["count"] for one in bins)
    sure, right = (
        sum(one["count"] * one[name] for one in bins) / samples for name in ("confidence", "accuracy")
    )
    error = report["models"][role]["ece"]
    return f"{role}: right in {right:.1%}, on average {sure:.1%} sure, calibration error {error:.1%}"


def roles_with(curves: Mapping[str, Any], figure: str) -> list[str]:
    """The models whose training histories have it."""
    return [role for role in ROLES if _points(curves[role], figure)]


def curve_chart(curves: Mapping[str, Any], figure: str, name: str, title: str, label: str) -> str:
    """A figure of the training histories, epoch by epoch."""
    known = {role: _points(curves[role], figure) for role in roles_with(curves, figure)}
    with drawing():
        drawn, axes = one_axes(WIDTH, HEIGHT)
        for role, points in known.items():
            epochs, values = zip(*points, strict=True)
            marks = max(1, len(points) // 10)
            axes.plot(epochs, values, markersize=5, markevery=marks, **STYLES[role])
        axes.set(xlabel="epoch", ylabel=label)
        few_ticks(axes.xaxis, integer=True)
        few_ticks(axes.yaxis)
        says = ". ".join(f"{role}: {_ends(points)}" for role, points in known.items())
        return svg(drawn, name, title, says)


def _points(records: Sequence[Mapping[str, Any]], figure: str) -> list[tuple[int, float]]:
    return [(record["epoch"], record[figure]) for record in records if record.get(figure) is not None]


def _ends(points: Sequence[tuple[int, float]]) -> str:
    """A curve in words."""
    return ", ".join(f"{value:.3g} after epoch {epoch}" for epoch, value in (points[0], points[-1]))
