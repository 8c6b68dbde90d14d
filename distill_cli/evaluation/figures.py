"""What the figures of a model are called in a report, how they are written, and tables of them. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

ABSENT = "–"

Figures = Mapping[str, Any]
Format = Callable[[Any], str]


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _interval(bounds: tuple[float, float]) -> str:
    return f"{100 * bounds[0]:.2f}–{100 * bounds[1]:.2f}%"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.3f} MB"


# What a figure is called, its name in report.json, and how it is written.
NAMED: tuple[tuple[str, str, Format], ...] = (
    ("test top-1", "top1", _percent),
    ("test top-1, uncorrected", "top1_uncorrected", _percent),
    ("95% interval", "top1_interval", _interval),
    ("test top-5", "top5", _percent),
    ("test NLL (nats)", "nll", "{:.4f}".format),
    ("test ECE", "ece", _percent),
    ("agrees with teacher", "agreement", _percent),
    ("KL to teacher (nats)", "kl_to_teacher", "{:.4f}".format),
    ("validation top-1", "validation_top1", _percent),
    ("parameters", "parameters", "{:,}".format),
    ("multiply-adds", "macs", "{:,}".format),
    ("file", "file_bytes", _megabytes),
    ("latency, 1 picture, p50", "latency_ms_b1_p50", "{:.3f} ms".format),
    ("latency, 1 picture, p95", "latency_ms_b1_p95", "{:.3f} ms".format),
    ("latency, 64 pictures, p50", "latency_ms_b64_p50", "{:.3f} ms".format),
    ("latency, 64 pictures, p95", "latency_ms_b64_p95", "{:.3f} ms".format),
)


def cell(model: Figures | None, figure: str, write: Format) -> str:
    value = None if model is None else model.get(figure)
    return ABSENT if value is None else write(value)


def terminal(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str, caption: str = "") -> Table:
    """Names to the left, figures to the right."""
    from rich.table import Table

    table = Table(*headings, title=title, title_justify="left", caption=caption)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row)
    return table


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
