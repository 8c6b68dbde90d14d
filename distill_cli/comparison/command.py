"""`distill compare PATH …`: any students in one table and one page."""

from __future__ import annotations

from collections.abc import Sequence

from distill_cli.comparison.options import parse
from distill_cli.comparison.outputs import present
from distill_cli.comparison.sources import load_students
from distill_cli.comparison.table import tabulate


def run(words: Sequence[str]) -> None:
    """`words` is what followed the verb on the command line."""
    given = parse(words)
    table = tabulate(load_students(given.paths, given.artifacts), given.artifacts)
    present(table, given.output, "compare")
