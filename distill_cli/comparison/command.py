"""`distill compare PATH …`: any students in one table and one page."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from distill_cli.artifacts.files import make_directory
from distill_cli.comparison.options import parse
from distill_cli.comparison.outputs import present
from distill_cli.comparison.sources import load_students
from distill_cli.comparison.table import tabulate
from distill_cli.errors import ConfigError


def run(words: Sequence[str]) -> None:
    """`words` is what followed the verb on the command line."""
    given = parse(words)
    table = tabulate(load_students(given.paths, given.artifacts), given.artifacts)
    _make(given.output)
    present(table, given.output, "compare")


def _make(output: Path) -> None:
    """Before anything is shown. Raises `ConfigError` where the user named what can be no directory."""
    try:
        make_directory(output)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigError(f"--output {output}: {error.strerror}; name another directory") from error
