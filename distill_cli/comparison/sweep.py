"""The end of a sweep: its jobs in one table and one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_cli.comparison.notes import note_on_failures
from distill_cli.comparison.outputs import present
from distill_cli.comparison.row import Row
from distill_cli.comparison.sources import OTHER_STAGES, Search
from distill_cli.comparison.students import Student
from distill_cli.comparison.table import tabulate
from distill_cli.errors import DistillError
from distill_cli.runtime.console import say


def report_sweep(
    directory: Path, results: Sequence[Mapping[str, Any]], failures: Sequence[str] = (), jobs: int = 0
) -> None:
    """`results` are the documents of the jobs that were done, built or up to date.

    `failures` are those of `jobs` jobs, in a line each. They go into the files; the terminal has them in the end.
    What cannot be shown is said and fails nothing: the students are there, whatever became of their table.
    """
    students = list(_students(results))
    if not students:
        return
    unique = {student.key: student for student in students}
    if len(unique) < len(students):
        say(f"{len(results)} jobs made {len(unique)} different students; each counts once")
    try:
        table = tabulate(list(unique.values()))
        present(table, directory, "sweep", [note_on_failures(failures, jobs)] if failures else [])
    except DistillError as error:
        say(f"no table of the sweep: {error}")
        return
    if table.is_ranked and {result.get("stage") for result in results} == {"distill"}:
        _suggest_report(table.rows[0])


def _suggest_report(row: Row) -> None:
    """`distill run` with the words that made its first student, unless that one has a report."""
    best = row.students[0]
    _, _, words = (best.command or "").partition("distill ")
    if words and best.role == "student" and best.key not in row.measured:
        say(f"next: distill run {words.partition(' ')[2]}".rstrip())


def _students(results: Sequence[Mapping[str, Any]]) -> Iterator[Student]:
    for result in results:
        if result.get("stage") in OTHER_STAGES:
            continue
        try:
            artefact = Path(str((result.get("members") or [result])[0].get("artifact")))
            yield from Search(artefact.parent.parent).of_result(result, str(result.get("name")))
        except DistillError as error:
            say(f"left out: {error}")
