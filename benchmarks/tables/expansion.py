"""Reading `benchmarks/tables/NAME.yaml`.

    title, about, measure, seeds           what is published, and where; errors, error, top1, recall of CLASS
    common                                 words of every command
    rows: [{label, run, of, measure, …}]   `each: {T: [1, 2]}` makes a row of each value, which is {T} in its texts;
                                           `turn: 1` is run after all others, `turn: 2` after these
    sections: [{title, run, of, rows}]     rows under headings; without any, each has those of the table
    layout: matrix                         sections are columns, rows of the same label a row
    chart: {x, disk}                       rows have `at`, a number or a word, on an axis called x

With sections that share rows, `published` is a list in their order, and `in` has words (or a note) for one of them.
A file with `tables: [NAME, …]` is a page of several tables. A wrong word is a `ConfigError` that says where.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from distill_cli.config.nearest import nearest
from distill_cli.errors import ConfigError
from tables.description import Chart, Page, Published, Row, Section, Table
from tables.measures import MODELS, Measure

Said = dict[str, Any]
OF_PAGE = ("title", "about", "tables", "found")
OF_TABLE = (
    *("title", "about", "measure", "seeds", "common", "rows", "sections", "layout", "chart", "found"),
    *("published_runs", "best_epoch", "compare", "baseline"),
)
OF_SECTION = ("title", "run", "of", "turn", "rows")
OF_ROW = (
    *("label", "run", "of", "measure", "seeds", "published", "published_runs", "best_epoch", "compare"),
    *("note", "found", "at", "turn", "each", "in"),
)
OF_ONE = ("run", "note", "found")  # of a row in one section


def names(directory: Path) -> list[str]:
    return sorted(path.stem for path in directory.glob("*.yaml"))


def read_page(directory: Path, name: str) -> Page:
    """The page of this name: of a table, or of several. Raises `ConfigError`."""
    said = _read(directory, name)
    if "tables" not in said:
        return Page(name, str(said.get("title")), "", (read_table(directory, name),))
    _only(OF_PAGE, said, name)
    tables = tuple(read_table(directory, each) for each in said["tables"])
    return Page(name, said["title"], said.get("about", ""), tables, said.get("found", ""))


def page_with(directory: Path, name: str) -> Page:
    """The page that shows this table (its own, where no other does), or the page of this name."""
    several = (each for each in names(directory) if name in _read(directory, each).get("tables", ()))
    return read_page(directory, next(several, name))


def read_table(directory: Path, name: str) -> Table:
    """Raises `ConfigError`."""
    said = _read(directory, name)
    _only(OF_TABLE, said, name)
    _required(("title", "about", "measure", "seeds"), said, name)
    return Table(
        name=name,
        title=said["title"],
        about=said["about"],
        measure=_measure(said["measure"], name),
        sections=tuple(_sections(said, name)),
        best_epoch=said.get("best_epoch"),
        found=said.get("found", ""),
        matrix=said.get("layout") == "matrix",
        baseline=said.get("baseline", True),
        chart=Chart(**said["chart"]) if "chart" in said else None,
    )


def _read(directory: Path, name: str) -> Said:
    try:
        said = yaml.safe_load((directory / f"{name}.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = nearest(name, names(directory))
        remedy = f"did you mean {near}?" if near else "make table lists them"
        raise ConfigError(f"there is no table {name}; {remedy}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}.yaml: {' '.join(str(error).split())}") from None
    if not isinstance(said, dict):
        raise ConfigError(f"{name}.yaml is empty")
    return said


def _sections(said: Said, name: str) -> Iterator[Section]:
    sections = said.get("sections", [{}])
    for place, section in enumerate(sections):
        where = f"{name}, section {section.get('title', place + 1)}"
        _only(OF_SECTION, section, where)
        shares = "rows" not in section
        rows = said.get("rows", []) if shares else section["rows"]
        words = (*shlex.split(said.get("common", "")), *shlex.split(section.get("run", "")))
        here = place if shares and len(sections) > 1 else None
        made = [row for given in rows for row in _rows(given, said, section, here, where)]
        yield Section(section.get("title", ""), words, tuple(made))


def _rows(given: Said, table: Said, section: Said, place: int | None, where: str) -> Iterator[Row]:
    """Those that one entry stands for. `place` is the section's number, where it shares its rows with others."""
    _only(OF_ROW, given, where)
    _required(("label",), given, where)
    where = f"{where}, row {given['label']}"
    own = _only(OF_ONE, given.get("in", {}).get(section.get("title"), {}), where)
    published = given.get("published")
    if place is not None and published is not None:
        published = _of_section(published, place, where)
    for said in _each({**given, "published": published}, where):
        words = [table.get("common", ""), section.get("run", ""), said.get("run", ""), own.get("run", "")]
        yield Row(
            label=said["label"],
            words=_settled(shlex.split(" ".join(words))),
            of=_model(said.get("of", section.get("of", "student")), where),
            measure=_measure(said.get("measure", table["measure"]), where),
            seeds=tuple(said.get("seeds", table["seeds"])),
            published=_published(said, table, where),
            notes=tuple(_notes(said, own)),
            at=None if said.get("at") is None else str(said["at"]),
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


def _of_section(published: Any, place: int, where: str) -> Any:
    if not isinstance(published, list) or place >= len(published):
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


def _notes(*several: Mapping[str, Any]) -> Iterator[str]:
    for said in several:
        yield from (" ".join(said[key].split()) for key in ("note", "found") if key in said)


def _model(of: str, where: str) -> str:
    if of not in MODELS:
        raise ConfigError(f"{where}: of: {of} must be one of {', '.join(MODELS)}")
    return of


def _measure(name: str, where: str) -> Measure:
    measure = Measure(name)
    if not measure.is_known:
        raise ConfigError(f"{where}: measure: {name} must be errors, error, top1 or `recall of CLASS`")
    return measure


def _only(known: Iterable[str], said: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    for key in said:
        if key not in known:
            near = nearest(key, list(known))
            remedy = f"did you mean `{near}`?" if near else f"it may have {', '.join(known)}"
            raise ConfigError(f"{where}: there is no `{key}`; {remedy}")
    return said


def _required(keys: Iterable[str], said: Mapping[str, Any], where: str) -> None:
    for key in keys:
        if key not in said:
            raise ConfigError(f"{where}: `{key}` is missing")
