"""The line with which a stage ends: what it made, how good it is, and where it lies."""

from __future__ import annotations

from pathlib import Path

from distill_cli.stages.result import StageResult


def summary(what: str, result: StageResult, done: str | None = None) -> str:
    """`done`: where more can be said of what it did than its status."""
    parts = [
        f"{what}: {done or result.status}",
        _figures(result),
        _took(result),
        _where(result.place.directory),
    ]
    return " · ".join(part for part in parts if part)


def _figures(result: StageResult) -> str:
    metrics = result.metrics
    if "shards" in metrics:
        return f"{metrics['samples']:,} samples × {metrics['views']} views, {human_bytes(metrics['bytes'])}"
    named = [("validation", "validation_top1"), ("test", "test_top1")]
    figures = [f"{name} {metrics[key]:.2%}" for name, key in named if metrics.get(key) is not None]
    parameters = f"{metrics['parameters']:,} parameters" if "parameters" in metrics else ""
    return ", ".join([*figures, *filter(None, [parameters])])


def _took(result: StageResult) -> str:
    return f"{result.seconds['total']:.1f} s" if result.status != "up-to-date" and result.seconds else ""


def _where(directory: Path) -> str:
    """Relative to where the user is, if it lies below."""
    absolute = directory.absolute()
    here = Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def human_bytes(count: float) -> str:
    """1234567 as 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
