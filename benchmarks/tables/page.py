"""docs/results/NAME.md, from a description and what is recorded, and nothing else: the same two, the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tables import cells
from tables.appendix import commands, computing, keys
from tables.cells import Notes
from tables.description import Page, Section, Table
from tables.figure import caption
from tables.outcome import Outcome
from tables.records import Results
from tables.text import grid, prose

Outcomes = list[tuple[Section, list[Outcome]]]


def markdown(page: Page, results: Mapping[str, Results]) -> str:
    return "\n\n".join(block for block in _blocks(page, results) if block) + "\n"


def _blocks(page: Page, results: Mapping[str, Results]) -> Iterator[str]:
    notes = Notes()
    yield f"# {page.title}"
    yield f"<!-- Written by `make table NAME={page.name}`: change what is in benchmarks/tables, not this file. -->"
    yield prose(page.about)
    for table in page.tables:
        yield f"## {table.title}" if len(page.tables) > 1 else ""
        yield from _table(table, results[table.name], notes)
    yield prose(page.found)
    yield from _how_to_read(page, results)
    yield from commands(page)
    yield from computing(page, results)
    yield keys(page, results)


def outcomes_of(table: Table, results: Results) -> Outcomes:
    return [
        (section, [Outcome.of(row, table, results) for row in section.rows]) for section in table.sections
    ]


def _table(table: Table, results: Results, notes: Notes) -> Iterator[str]:
    outcomes = outcomes_of(table, results)
    missing = sum(run not in results.runs for run in table.runs)
    yield prose(table.about)
    if missing:
        yield prose(
            f"**{missing} of {len(table.runs)} runs are missing**, so that this page is not complete."
        )
    yield from _matrix(table, outcomes, notes) if table.matrix else _lists(table, outcomes, results, notes)
    if drawn := caption(table, results):
        yield f"![{drawn}]({table.name}.svg)"
    yield "\n".join(prose(f"{number}. {text}") for number, text in notes.new())
    yield _unexplained(outcomes)
    yield prose(table.found)


def _lists(table: Table, outcomes: Outcomes, results: Results, notes: Notes) -> Iterator[str]:
    """Section below section."""
    for section, several in outcomes:
        yield f"**{section.title}**" if section.title else ""
        columns = _columns(table, several, results, notes)
        yield grid(list(columns), zip(*columns.values(), strict=True))


def _columns(
    table: Table, several: Sequence[Outcome], results: Results, notes: Notes
) -> dict[str, list[str]]:
    """By their headings; of those that not every table has, the ones that say something."""
    unit = table.measure
    columns = {
        "row": [one.row.label for one in several],
        f"ours, {unit.in_words}": [cells.ours(one, unit) for one in several],
        "n": [cells.count(one) for one in several],
        "published": [cells.published(one, unit) for one in several],
        "difference": [cells.difference(one) for one in several],
        "soft labels": [cells.disk(one, results.runs) for one in several],
        "time": [cells.time(one) for one in several],
        "note": [cells.notes_of(one, notes) for one in several],
    }
    optional = {"published", "difference", "note"} | ({"soft labels"} if table.chart else set())
    left_out = {"soft labels"} - optional | {
        name for name in optional if not {*columns[name]} - {"", cells.ABSENT}
    }
    return {name: column for name, column in columns.items() if name not in left_out}


def _matrix(table: Table, outcomes: Outcomes, notes: Notes) -> Iterator[str]:
    """Sections side by side."""
    found = [{one.row.label: one for one in several} for _, several in outcomes]
    labels = dict.fromkeys(label for column in found for label in column)
    yield f"Ours, {table.measure.in_words}; below it, in italics, what is published, and the difference."
    rows = [
        [label, *(cells.in_matrix(column.get(label), table.measure, notes) for column in found)]
        for label in labels
    ]
    yield grid(["", *(section.title for section, _ in outcomes)], rows)


def _unexplained(outcomes: Outcomes) -> str:
    names = [
        f"{one.row.label} ({section.title})" if section.title else one.row.label
        for section, several in outcomes
        for one in several
        if one.verdict == "worse" and not one.row.found
    ]
    return prose(f"Worse than published and not explained yet: {'; '.join(names)}.") if names else ""


def _how_to_read(page: Page, results: Mapping[str, Results]) -> Iterator[str]:
    rows = [row for table in page.tables for row in table.rows]
    figures = [
        figure
        for found in results.values()
        for run in found.runs.values()
        for figure in run["figures"].values()
    ]
    parts = sorted({figure["samples"] for figure in figures})
    of = f" of the {' or '.join(f'{n:,}' for n in parts)} test pictures" if parts else ""
    yield "## How to read it"
    yield prose(
        f"Ours: figures{of} after the last epoch, mean ± standard deviation over n models that differ in their "
        "seed. Time: of training these models, added up."
    )
    if any(row.published and row.published.compares for row in rows):
        yield prose(
            "Difference: ours minus published. It is in bold where it is more than its noise, two standard errors: "
            "2 s √(1/n + 1/m), s the standard deviation of our n models, m the number of models behind the "
            "published figure, taken to scatter as ours do; where m is not known, 1/m is left out. "
            "The noise of a single model is not known, so that nothing is said of it."
        )
    above = [f"{table.best_epoch:g}" for table in page.tables if table.best_epoch]
    if above and any(row.published and row.published.best_epoch for row in rows):
        yield prose(
            f"{cells.BEST} Published of the best epoch on the test part, which is above the last one by {above[0]} "
            "on average: ours is called worse only where it is, by more than its noise, with that added."
        )
