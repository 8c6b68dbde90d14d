"""What a user gets: the table on stdout, and three files of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from distill_cli.artifacts.files import make_directory, write_bytes
from distill_cli.comparison.page import page
from distill_cli.comparison.spreadsheet import spreadsheet
from distill_cli.comparison.table import Table
from distill_cli.comparison.text import markdown, terminal_table
from distill_cli.runtime.console import counted, say, show


def present(table: Table, directory: Path, name: str, more_notes: Sequence[str] = ()) -> None:
    """Show the table, and write `<name>.csv`, `.md` and `.html` into the directory.

    `more_notes` are for the files alone.
    """
    heading = f"{counted(len(table.rows), 'setting')} on {table.data}"
    show(terminal_table(table, heading))
    for note in table.notes[1:]:
        say(note)
    table = replace(table, notes=(*table.notes, *more_notes))
    make_directory(directory)
    write_bytes(directory / f"{name}.csv", spreadsheet(table).encode())
    write_bytes(directory / f"{name}.md", markdown(table, heading).encode())
    write_bytes(directory / f"{name}.html", page(table, heading).encode())
    say(f"{name}.html, {name}.md and {name}.csv are in {directory}")
