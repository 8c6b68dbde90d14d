"""The report of one student: a document for machines, a page for people, a table for the terminal. No torch.

Whatever compares two models says how much of it may be chance: nobody should celebrate noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distill_cli.evaluation.chain import chain_markdown
from distill_cli.evaluation.figures import ABSENT, NAMED, Figures, cell, markdown_table, terminal
from distill_cli.evaluation.intervals import is_noise

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 2
REPORT = "report.json"
ROLES = ("teacher", "student", "baseline")


def comparison(models: Mapping[str, Figures | None], mcnemar: Figures | None = None) -> dict[str, Any]:
    """Student against teacher and baseline, as fractions; None where unknown.

    `gap_closed` is the part of the way from baseline to teacher; `size_saved` and `latency_saved` are parts of
    the teacher's parameters and of its time for one picture. `mcnemar` is of student against baseline.
    """
    student, teacher, baseline = (models[role] or {} for role in ("student", "teacher", "baseline"))
    top1, theirs, alone = (found.get("top1") for found in (student, teacher, baseline))
    gain, gap = _minus(top1, alone), _minus(theirs, alone)
    return {
        "drop": _minus(theirs, top1),
        "gain": gain,
        "gap_closed": gain / gap if gain is not None and gap is not None and gap > 0 else None,
        "mcnemar": mcnemar,
        "accuracy_kept": top1 / theirs if theirs and top1 is not None else None,
        "size_saved": _saved(student, teacher, "parameters"),
        "latency_saved": _saved(student, teacher, "latency_ms_b1_p50"),
    }


def headline(report: Mapping[str, Any]) -> str:
    """What distillation brought, in one line that says whether it is more than chance."""
    found = report["comparison"]
    if found["gain"] is None:
        drop = found["drop"]
        return "no test samples" if drop is None else f"{-100 * drop:+.2f} points against the teacher"
    gain = f"{100 * found['gain']:+.2f} points against the baseline"
    if found["mcnemar"] is None:
        return gain + _gap(found)
    if is_within_noise(report):
        return f"{gain}, within noise ({chance(report)})"
    return f"{gain} ({chance(report)}){_gap(found)}"


def correction(report: Mapping[str, Any]) -> str:
    """What was added to the student's logits, in one line; nothing where nothing was."""
    bias, top1 = report["settings"].get("bias"), report["models"]["student"].get("top1_uncorrected")
    return f"logits of the student corrected: {bias} (test top-1 {top1:.2%} without)" if bias else ""


def chance(report: Mapping[str, Any]) -> str:
    """`McNemar p = 0.03, 18 : 7 of 429`: samples that only the student, and only the baseline has right."""
    paired, samples = report["comparison"]["mcnemar"], report["models"]["student"]["samples"]
    p = "p < 0.001" if paired["p"] < 0.001 else f"p = {paired['p']:.2g}"
    return f"McNemar {p}, {paired['student_only']:,} : {paired['baseline_only']:,} of {samples:,}"


def is_within_noise(report: Mapping[str, Any]) -> bool:
    """Whether student and baseline may be equally good, for all that these test samples say."""
    paired = report["comparison"]["mcnemar"]
    return paired is not None and is_noise(paired["p"])


def table_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """One row a figure: its name, then teacher, student and baseline."""
    rows = [
        [title, *(cell(report["models"][role], figure, write) for role in ROLES)]
        for title, figure, write in NAMED
    ]
    return [row for row in rows if any(text != ABSENT for text in row[1:])]


def terminal_table(report: Mapping[str, Any]) -> Table:
    settings = report["settings"]
    caption = f"{settings['data']} · {settings['device']} · last epoch"
    return terminal(("", *ROLES), table_rows(report), report["title"], caption)


def findings(report: Mapping[str, Any]) -> list[str]:
    """Why the student stays behind, a line each, with what to try."""
    return [f"{found['says'].rstrip('.')}; try {found['try']}" for found in report["diagnosis"]]


def markdown(report: Mapping[str, Any]) -> str:
    table = markdown_table(("", *ROLES), table_rows(report))
    settings = "\n".join(f"- {name}: `{value}`" for name, value in report["settings"].items())
    reasons = "\n".join(f"- {_finding(found)}" for found in report["diagnosis"])
    why = f"## Why it stays behind\n\n{reasons}\n\n" if reasons else ""
    made = f"## How it was made\n\n```sh\n{report['command']}\n```\n\n{settings}"
    said = "\n\n".join(filter(None, [headline(report), correction(report)]))
    return f"# {report['title']}\n\n{said}\n\n{table}\n\n{chain_markdown(report)}{why}{made}\n"


def _finding(found: Figures) -> str:
    known = {name.replace("_", " "): value for name, value in found["evidence"].items() if value is not None}
    figures = ", ".join(f"{name} {value:.4g}" for name, value in known.items())
    rule = found["rule"].replace("_", " ")
    return f"**{rule}**: {found['says'].rstrip('.')} ({figures}). Try `{found['try']}`"


def _gap(found: Figures) -> str:
    closed = found["gap_closed"]
    return "" if closed is None or closed <= 0 else f", {closed:.0%} of the gap to the teacher closed"


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _saved(student: Figures, teacher: Figures, figure: str) -> float | None:
    ours, theirs = student.get(figure), teacher.get(figure)
    return 1 - ours / theirs if ours is not None and theirs else None
