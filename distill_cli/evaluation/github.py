"""What GitHub Actions shows beside a build: annotations, and the summary of a step. No torch.

The runner reads annotations from stdout, where each must be a line of its own, and shows what a step appends to
the file `GITHUB_STEP_SUMMARY`. Beyond 1 MiB it refuses all of it. Neither is worth a failed build.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from distill_cli.evaluation.gates import Verdict

LIMIT = 1 << 20  # bytes of one step's summary
CUT = "\n\n*Cut here: a step summary can hold 1 MiB. The whole report is in the artefact.*\n"


def is_on() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotation(verdict: Verdict, student: str) -> str:
    """`::error title=gates.min_top1::mlp_24: gates.min_top1=0.97: failed (0.9604)`"""
    level = "notice" if verdict.passed else "error"
    return f"::{level} title={_property(f'gates.{verdict.gate}')}::{_data(f'{student}: {verdict}')}"


def annotate(verdicts: Sequence[Verdict], student: str) -> None:
    """One line of stdout each, past the console, which may wrap lines."""
    with suppress(OSError, ValueError):  # nobody reads, or the encoding lacks a character
        sys.stdout.writelines(f"{annotation(verdict, student)}\n" for verdict in verdicts)
        sys.stdout.flush()


def gates_table(verdicts: Sequence[Verdict]) -> str:
    """In Markdown, with a heading; empty where no gate is set."""
    rows = [(f"`{v.override}`", "✅ passed" if v.passed else "❌ failed", v.figure) for v in verdicts]
    table = [f"| {' | '.join(map(_cell, row))} |" for row in (("gate", "", "figure"), *rows)]
    table.insert(1, "|---|---|---|")
    return "\n".join(["## Gates", "", *table, ""]) if rows else ""


def sweep_entry(verdicts: Sequence[Verdict], job: str, top1: float | None) -> str:
    """One job of a sweep as an item of a list."""
    missed = [str(verdict) for verdict in verdicts if not verdict.passed]
    mark = "❌" if missed else "✅" if verdicts else "•"
    shown = "not measured" if top1 is None else f"{top1:.2%}"
    return f"- {mark} `{job}`: top-1 {shown}{''.join(f'; {line}' for line in missed)}\n"


def append_summary(text: str) -> str | None:
    """Add to the step's summary what there is room for. The reason, where that cannot be done."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return None
    try:
        with Path(path).open("ab") as file:
            written = file.write(fitting(text, LIMIT - file.tell()))
    except OSError as error:
        return f"the step summary {path} cannot be written: {error.strerror or error}"
    return None if written or not text else f"the step summary {path} is full"


def fitting(text: str, room: int) -> bytes:
    """`text`, or as many whole lines of it as leave room for a note that says so; else nothing."""
    content, note = text.encode(errors="replace"), CUT.encode()
    if len(content) <= room:
        return content
    end = content.rfind(b"\n", 0, max(0, room - len(note) + 1))
    return content[:end] + note if end >= 0 else b""


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
