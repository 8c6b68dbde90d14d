"""The report of one student: a document for machines, a page for people, a table for the terminal. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
ROLES = ("teacher", "student", "baseline")
ABSENT = "–"

Format = Callable[[Any], str]


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.3f} MB"


# What a row is called, its figure, and how it is written.
ROWS: tuple[tuple[str, str, Format], ...] = (
    ("test top-1", "top1", _percent),
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


def comparison(models: Mapping[str, Mapping[str, Any] | None]) -> dict[str, float | None]:
    """Student against teacher and baseline, as fractions: drop, gain, gap closed; None where unknown."""
    student, teacher, baseline = (models[role] for role in ("student", "teacher", "baseline"))
    assert student is not None and teacher is not None
    drop = teacher["top1"] - student["top1"]
    if baseline is None:
        return {"drop": drop, "gain": None, "gap_closed": None}
    gain, gap = student["top1"] - baseline["top1"], teacher["top1"] - baseline["top1"]
    return {"drop": drop, "gain": gain, "gap_closed": gain / gap if gap > 0 else None}


def table_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """One row a figure: its name, then teacher, student and baseline."""
    rows = [
        [title, *(_cell(report["models"][role], figure, write) for role in ROLES)]
        for title, figure, write in ROWS
    ]
    return [row for row in rows if any(cell != ABSENT for cell in row[1:])]


def terminal_table(report: Mapping[str, Any]) -> Table:
    from rich.table import Table

    settings = report["settings"]
    caption = f"{settings['data']} · {settings['device']} · last epoch"
    table = Table("", *ROLES, title=report["title"], title_justify="left", caption=caption)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in table_rows(report):
        table.add_row(*row)
    return table


def headline(report: Mapping[str, Any]) -> str:
    """What distillation brought, in one line."""
    found = report["comparison"]
    if found["gain"] is None:
        return f"{-100 * found['drop']:+.2f} points against the teacher"
    gap = (
        "" if found["gap_closed"] is None else f", {found['gap_closed']:.0%} of the gap to the teacher closed"
    )
    return f"{100 * found['gain']:+.2f} points against the baseline{gap}"


def markdown(report: Mapping[str, Any]) -> str:
    head = ["", *ROLES]
    lines = [head, ["---", *["---:"] * len(ROLES)], *table_rows(report)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    settings = "\n".join(f"- {name}: `{value}`" for name, value in report["settings"].items())
    return f"# {report['title']}\n\n{headline(report)}\n\n{table}\n\n{settings}\n"


def _cell(model: Mapping[str, Any] | None, figure: str, write: Format) -> str:
    value = None if model is None else model.get(figure)
    return ABSENT if value is None else write(value)
