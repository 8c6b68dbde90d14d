"""The words after `distill compare`. As for `distill cache`, parsed here and not by Typer."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from distill_cli.cache.options import default_root
from distill_cli.config.nearest import nearest
from distill_cli.errors import ConfigError

OUTPUT = Path("outputs/compare")
OPTIONS = ("--output", "--artifacts")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """`paths`, `output` and `artifacts`. Raises `ConfigError`."""
    parser = _Parser("distill compare", add_help=False, allow_abbrev=False)
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--output", metavar="DIR", type=Path, default=OUTPUT)
    parser.add_argument("--artifacts", metavar="DIR", type=Path, default=default_root())
    found, surplus = parser.parse_known_intermixed_args(list(words))
    if surplus:
        near = nearest(surplus[0].partition("=")[0], OPTIONS)
        remedy = f"did you mean {near!r}?" if near else f"there are {', '.join(OPTIONS)}"
        parser.error(f"no option {surplus[0]!r} here; {remedy}")
    if not found.paths:
        parser.error("name what to compare: students, reports, a sweep's directory, or artifacts/students")
    return found


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog}: {message}")
