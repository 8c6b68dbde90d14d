"""`make table`: which table, what is missing of it, and its page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from distill_cli.artifacts.files import NO_SPACE, make_directory, write_bytes
from distill_cli.errors import ConfigError, DistillError, Interrupted, ResourceError
from distill_cli.runtime.console import complain, counted, say, show
from tables.description import Page, Table
from tables.expansion import names, page_with, read_page
from tables.figure import draw
from tables.keys import CannotRun
from tables.page import markdown
from tables.records import Results
from tables.runs import Missing, drop_stale, make, missing, refuse_device
from tables.settings import MISSING, PAGE, Settings


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, or 1 where a run failed, or what `distill` would leave with. `NAME [OVERRIDE …]`."""
    try:
        if not arguments:
            _list(Settings.of(os.environ, ()).descriptions)
            return 0
        name, *words = arguments
        return make_page(name, Settings.of(os.environ, words))
    except CannotRun as error:
        complain(str(error))
        return ConfigError.exit_code
    except (DistillError, Interrupted) as error:
        complain(" ".join(str(error).split()))
        return error.exit_code
    except OSError as error:
        where = error.filename or "make table"
        complain(f"{where}: {error.strerror}; BENCH_RESULTS=DIR names another place for pages")
        return ResourceError.exit_code if error.errno in NO_SPACE else ConfigError.exit_code
    except KeyboardInterrupt:
        return 130


def make_page(name: str, settings: Settings) -> int:
    """Run what is missing of the tables called `name`, and write the page that shows them."""
    page = page_with(settings.descriptions, name)
    tables = [table for table in page.tables if name in (table.name, page.name)]
    settings.refuse_empty_choice(tables)
    results = {table.name: results_of(table, settings) for table in page.tables}
    drop_stale(page.tables, results, settings)
    if settings.only == PAGE:
        _keep_dropped(results)
        write(page, results, settings)
        return 0
    wanted = {table.name: missing(table, results[table.name], settings) for table in tables}
    for table in tables:
        _tell(table, wanted[table.name], settings)
    if settings.only == MISSING:
        return 0
    refuse_device(settings.words if any(wanted.values()) else ())
    try:
        for table in tables:
            stopped = make(table, wanted[table.name], results[table.name], settings)
            if stopped is not None:
                say(f"interrupted; make table NAME={name} goes on from here")
                return stopped
    finally:
        for table in tables:
            results[table.name].write()
        _keep_dropped(results)
        write(page, results, settings)
    return int(any(run in results[table.name].failed for table in tables for run in settings.chosen(table)))


def results_of(table: Table, settings: Settings) -> Results:
    return Results.at(settings.results / f"{table.name}.json")


def _keep_dropped(results: Mapping[str, Results]) -> None:
    """A page shows what is in the files beside it, and nothing else."""
    for found in results.values():
        if found.gone:
            found.write()


def write(page: Page, results: dict[str, Results], settings: Settings) -> None:
    make_directory(settings.results)
    path = settings.results / f"{page.name}.md"
    write_bytes(path, markdown(page, results).encode())
    for table in page.tables:
        if (drawn := draw(table, results[table.name])) is not None:
            write_bytes(path.with_name(f"{table.name}.svg"), drawn.encode())
    say(f"page: {path}")


def _tell(table: Table, wanted: Sequence[Missing], settings: Settings) -> None:
    say(f"{table.name}: {counted(len(wanted), 'run')} to do of {len(settings.chosen(table))}")
    if settings.only == MISSING:
        show(
            Text(
                "\n".join(
                    f"distill run {one.run}" + f"  # {one.why_not}" * bool(one.why_not) for one in wanted
                )
            )
        )


def _title(directory: Path, name: str) -> str:
    """Or what is wrong with its description."""
    try:
        return read_page(directory, name).title
    except ConfigError as error:
        return str(error)


def _list(directory: Path) -> None:
    titles = {name: _title(directory, name) for name in names(directory)}
    show(Text("\n".join(f"{f'  make table NAME={name}':46} {title}" for name, title in titles.items())))
