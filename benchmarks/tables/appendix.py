"""The end of a page: the commands behind its rows, where and for how long they ran, and the keys."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from distill_cli.runtime.console import counted, human_seconds
from tables.description import Page, Row, Table
from tables.records import Recorded, Results
from tables.text import code, grid, prose

DIGITS = 12  # of a key, as in the names of artefacts
MADE = {
    "teacher": "teachers",
    "soft_labels": "labelling",
    "student": "students",
    "baseline": "baselines",
    "evaluation": "evaluation",
}
GROWS = ("soft_labels", "evaluation")  # what each run adds to


def commands(page: Page) -> Iterator[str]:
    yield "## Commands"
    yield f"`make table NAME={page.name}` runs what is missing of these, and writes this page."
    for table in page.tables:
        yield from _in_general(table) if table.matrix else [code(_lines(table.rows))]


def _lines(rows: Iterable[Row]) -> Iterator[str]:
    """Each command once, below the rows that it is for."""
    labels: dict[str, list[str]] = {}
    for row in rows:
        labels.setdefault(row.command, []).append(row.label)
    for command, several in labels.items():
        yield f"# {'; '.join(dict.fromkeys(several))}"
        yield command


def _in_general(table: Table) -> Iterator[str]:
    """Of a matrix the commands of its first column, and what is typed instead for the others."""
    first, *others = table.sections
    yield code(_lines(first.rows))
    yield prose(f"That is {first.title}. Of the others:")
    usual = {row.label: {*row.words} - {*first.words} for row in first.rows}
    lines = []
    for section in others:
        own = shlex.join(word for word in section.words if word not in first.words)
        special = {
            row.label: shlex.join(
                word for word in row.words if word not in {*section.words, *usual.get(row.label, ())}
            )
            for row in section.rows
        }
        told = "".join(f"; {label}: `{words}`" for label, words in special.items() if words)
        lines.append(f"- {section.title}: `{own}`{told}")
    yield "\n".join(lines)


def computing(page: Page, results: Mapping[str, Results]) -> Iterator[str]:
    """Machines and times, each artefact counted once."""
    runs = _shown(page, results)
    if not runs:
        return
    yield "## Computing"
    machines = Counter(_machine(run["machine"]) for run in runs)
    lines = [f"- {machine}: {counted(number, 'run')}" for machine, number in machines.items()]
    yield "\n".join(lines)
    spent = {what: sum(_seconds(runs, role)) for role, what in MADE.items()}
    told = ", ".join(f"{what} {human_seconds(seconds)}" for what, seconds in spent.items() if seconds)
    dates = [run["date"] for run in runs]
    yield prose(
        f"Together {human_seconds(sum(spent.values()))} of computing: {told}. Recorded {_span(dates)}."
    )


def _shown(page: Page, results: Mapping[str, Results]) -> list[Recorded]:
    """Runs that the page shows; equal ones once."""
    found = (
        results[table.name].runs[run]
        for table in page.tables
        for run in table.runs
        if run in results[table.name].runs
    )
    return list({json.dumps(run["keys"], sort_keys=True): run for run in found}.values())


def _seconds(runs: Sequence[Recorded], role: str) -> Iterable[float]:
    """Of each model once; of soft labels, which grow, and of evaluation all that was added."""
    if role in GROWS:
        return [run["seconds"].get(role, 0.0) for run in runs]
    return {run["keys"].get(role): run["seconds"].get(role, 0.0) for run in runs}.values()


def _machine(known: Mapping[str, str]) -> str:
    """`AMD EPYC, 2 threads, bf16; Python 3.11.7, torch 2.15.0, distill-cli 0.1.0`"""
    where = known.get("cpu") or known.get("device", "unknown").partition(": ")[2] or known.get("device", "")
    threads = [counted(int(known["threads"]), "thread")] if "cpu" in known and "threads" in known else []
    names = {"python": "Python", "torch": "torch", "distill_cli": "distill-cli"}
    versions = [f"{name} {known[key]}" for key, name in names.items() if key in known]
    precision = [known["precision"]] if "precision" in known else []
    return f"{', '.join([where, *threads, *precision])}; {', '.join(versions)}"


def _span(dates: Sequence[str]) -> str:
    first, last = min(dates), max(dates)
    return first if first == last else f"{first} to {last}"


def keys(page: Page, results: Mapping[str, Results]) -> str:
    roles = ("teacher", "soft_labels", "student", "baseline")
    rows = [
        [f"`{run}`", *(found.runs[run]["keys"].get(role, "–")[:DIGITS] for role in roles)]
        for table in page.tables
        for found in (results[table.name],)
        for run in table.runs
        if run in found.runs
    ]
    if not rows:
        return ""
    table = grid(["run", *(role.replace("_", " ") for role in roles)], rows)
    return f"<details><summary>Keys of what was made</summary>\n\n{table}\n\n</details>"
