"""The chain of a report: whom the teacher taught, and whom that one, down to the student. No torch.

`chain` of report.json is a list of rows: the teacher, each assistant, each generation of the student, and, where
there are several of these, all of them as one model. It is not there where the teacher taught the student itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distill_cli.evaluation.figures import NAMED, cell, markdown_table, terminal

if TYPE_CHECKING:
    from rich.table import Table

TITLE = "From the teacher to the student"
EACH, TOGETHER = "each learned from the one above it", "all generations: the mean of their probabilities"
FIGURES = ("top1", "top1_interval", "nll", "ece", "agreement", "parameters")
COLUMNS = tuple(named for named in NAMED if named[1] in FIGURES)
HEADINGS = ("", *(title for title, _, _ in COLUMNS))


def chain_rows(report: Mapping[str, Any]) -> list[list[str]]:
    return [
        [link["role"], *(cell(link, figure, write) for _, figure, write in COLUMNS)]
        for link in report.get("chain", [])
    ]


def caption(report: Mapping[str, Any]) -> str:
    is_together = any(len(link["artifacts"]) > 1 for link in report.get("chain", [])[1:])
    return f"{EACH}; {TOGETHER}" if is_together else EACH


def chain_table(report: Mapping[str, Any]) -> Table:
    return terminal(HEADINGS, chain_rows(report), TITLE, caption(report))


def chain_markdown(report: Mapping[str, Any]) -> str:
    """A section, or nothing."""
    rows = chain_rows(report)
    return f"## {TITLE}\n\n{markdown_table(HEADINGS, rows)}\n\n({caption(report)})\n\n" if rows else ""
