"""Reading `benchmarks/tables/NAME.yaml`.

    title, about, measure, seeds           what is published, and where; errors, error, top1, recall of CLASS
    common                                 words of every command
    rows: [{label, run, of, measure, …}]   `each: {T: [1, 2]}` makes a row of each value, which is {T} in its texts;
                                           `turn: 1` is run after all others, `turn: 2` after these
    sections: [{title, run, of, rows}]     rows under headings; without any, each has those of the table
    layout: matrix                         sections are columns, rows of the same label a row
    chart: {x, disk}                       rows have `at`, a number or a word, on an axis called x

    baseline: false                        no student without a teacher is trained beside these
    get                                    where the data comes from, where nothing downloads it

With sections that share rows, `published` is a list in their order, and `in` has words (or a note) for one of them.
A file with `tables: [NAME, …]` is a page of several tables. A wrong word is a `ConfigError` that says where.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from distill_cli.config.nearest import nearest
from distill_cli.errors import ConfigError
from tables.contradictions import refuse_contradictions
from tables.description import Chart, Page, Published, Row, Section, Table
from tables.fields import OF_CHART, OF_ONE, OF_PAGE, OF_ROW, OF_SECTION, OF_TABLE, Said, fields
from tables.measures import Measure


def names(directory: Path) -> list[str]:
    return sorted(path.stem for path in directory.glob("*.yaml"))


def read_page(directory: Path, name: str) -> Page:
    """The page of this name: of a table, or of several. Raises `ConfigError`."""
    said = _read(directory, name)
    if "tables" not in said:
        table = read_table(directory, name)
        return Page(name, table.title, "", (table,))
    fields(OF_PAGE, said, name, required=("title",))
    tables = tuple(read_table(directory, each) for each in said["tables"])
    return Page(name, said["title"], said.get("about", ""), tables, said.get("found", ""))


def page_with(directory: Path, name: str) -> Page:
    """The page that shows this table (its own, where no other does), or the page of this name."""
    several = (each for each in names(directory) if name in _tables(directory, each))
    return read_page(directory, next(several, name))


def _tables(directory: Path, name: str) -> Sequence[str]:
    """Of a page of several; a description that is wrong is nobody's matter but its own."""
    with suppress(ConfigError):
        found = _read(directory, name).get("tables")
        return found if isinstance(found, list) else ()
    return ()


def read_table(directory: Path, name: str) -> Table:
    """Raises `ConfigError`."""
    said = _read(directory, name)
    fields(OF_TABLE, said, name, required=("title", "about", "measure", "seeds"))
    table = Table(
        name=name,
        title=said["title"],
        about=said["about"],
        measure=_measure(said["measure"], name),
        sections=tuple(_sections(said, name)),
        best_epoch=said.get("best_epoch"),
        found=said.get("found", ""),
        matrix=said.get("layout") == "matrix",
        baseline=said.get("baseline", True),
        chart=Chart(**fields(OF_CHART, said["chart"], f"{name}, chart", ["x"])) if "chart" in said else None,
        get=said.get("get", ""),
    )
    refuse_contradictions(table, said)
    return table


def _read(directory: Path, name: str) -> Said:
    if name not in names(directory):
        near = nearest(name, names(directory))
        remedy = f"did you mean {near}?" if near else "make table lists them"
        raise ConfigError(f"there is no table {name}; {remedy}")
    try:
        said = yaml.safe_load((directory / f"{name}.yaml").read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}.yaml: {' '.join(str(error).split())}") from None
    if not isinstance(said, dict):
        raise ConfigError(f"{name}.yaml holds no description")
    return said


def _sections(said: Said, name: str) -> Iterator[Section]:
    sections = said.get("sections", [{}])
    for place, section in enumerate(sections):
        where = f"{name}, section {section.get('title', place + 1)}"
        fields(OF_SECTION, section, where)
        shares = "rows" not in section
        rows = fields(OF_TABLE, said, where, ["rows"])["rows"] if shares else section["rows"]
        words = (*shlex.split(said.get("common", "")), *shlex.split(section.get("run", "")))
        here = place if shares and len(sections) > 1 else None
        made = [row for given in rows for row in _rows(given, said, section, here, where)]
        yield Section(section.get("title", ""), words, tuple(made))


def _rows(given: Said, table: Said, section: Said, place: int | None, where: str) -> Iterator[Row]:
    """Those that one entry stands for. `place` is the section's number, where it shares its rows with others."""
    where = f"{where}, row {given.get('label', '')}".removesuffix(", row ")
    fields(OF_ROW, given, where, required=("label",))
    own = fields(OF_ONE, _of_sections(given, table, where).get(section.get("title"), {}), where)
    published = given.get("published")
    if place is not None and published is not None:
        published = _of_section(published, place, len(table["sections"]), where)
    for said in _each({**given, "published": published}, where):
        words = [table.get("common", ""), section.get("run", ""), said.get("run", ""), own.get("run", "")]
        yield Row(
            label=said["label"],
            words=_settled(shlex.split(" ".join(words))),
            of=said.get("of", section.get("of", "student")),
            measure=_measure(said.get("measure", table["measure"]), where),
            seeds=tuple(said.get("seeds", table["seeds"])),
            published=_published(said, table, where),
            remarks=_texts("note", said, own),
            found=_texts("found", said, own),
            at=str(said["at"]) if "at" in said else None,
            turn=max(said.get("turn", 0), section.get("turn", 0)),
        )


def _each(given: Said, where: str) -> Iterator[Said]:
    """The entry for each value of `each`, with that value in its texts."""
    if "each" not in given:
        yield given
        return
    ((name, values),) = given["each"].items()
    for value in values:
        said = {
            k: v.replace(f"{{{name}}}", f"{value}") if isinstance(v, str) else v for k, v in given.items()
        }
        of_value = given["published"]
        yield {**said, "published": of_value.get(value) if isinstance(of_value, dict) else of_value}


def _settled(words: Sequence[str]) -> tuple[str, ...]:
    """Without words that a later one replaces: a row's own win over those of its section and of all."""
    last = {word.partition("=")[0]: word for word in words}
    return tuple(last.values())


def _of_sections(row: Said, table: Said, where: str) -> Said:
    """By their titles."""
    titles = [section.get("title") for section in table.get("sections", [])]
    for title in (found := row.get("in", {})):
        if title not in titles:
            raise ConfigError(f"{where}: in: there is no section {title}")
    return found


def _of_section(published: Any, place: int, sections: int, where: str) -> Any:
    if not isinstance(published, list) or len(published) != sections:
        raise ConfigError(f"{where}: `published` wants a list with a figure, or null, for each section")
    return published[place]


def _published(said: Said, table: Said, where: str) -> Published | None:
    if said.get("published") is None:
        return None
    both = {**table, **said}
    is_best = said.get("best_epoch", False)
    if is_best and table.get("best_epoch") is None:
        raise ConfigError(
            f"{where}: of the best epoch; say in the table's `best_epoch` by how much that is above"
        )
    try:
        return Published.of(
            said["published"],
            runs=both.get("published_runs"),
            best_epoch=is_best,
            compares=both.get("compare", True),
        )
    except ValueError:
        raise ConfigError(f"{where}: published: {said['published']} is no figure, and no range") from None


def _texts(name: str, *several: Said) -> tuple[str, ...]:
    return tuple(" ".join(said[name].split()) for said in several if name in said)


def _measure(name: str, where: str) -> Measure:
    measure = Measure(name)
    if not measure.is_known:
        raise ConfigError(f"{where}: measure: {name} must be errors, error, top1 or `recall of CLASS`")
    return measure
