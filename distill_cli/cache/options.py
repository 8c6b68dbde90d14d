"""The words after `distill cache ls`, `verify`, `rm` and `gc`.

Parsed here and not by Typer, which imports pydantic (0.1 s) for the first option that has a value.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from distill_cli.config.nearest import nearest
from distill_cli.errors import ConfigError

WEEK = 7.0  # days


def parse(chore: str, words: Sequence[str]) -> argparse.Namespace:
    """Options and names may stand in any order. Raises `ConfigError`."""
    parser = _parser(chore)
    found, surplus = parser.parse_known_intermixed_args(list(words))
    if surplus:
        known = [option for action in parser._actions for option in action.option_strings]
        near = nearest(surplus[0].partition("=")[0], known)
        remedy = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
        kind = "option" if surplus[0].startswith("-") else "name"
        parser.error(f"no {kind} {surplus[0]!r} here; {remedy}")
    return found


def default_root() -> Path:
    """As in the config."""
    return Path(os.environ.get("DISTILL_ARTIFACTS") or "artifacts")


def _parser(chore: str) -> argparse.ArgumentParser:
    parser = _Parser(f"distill cache {chore}", add_help=False, allow_abbrev=False)
    parser.add_argument("--artifacts", metavar="DIR", type=Path, default=default_root())
    if chore in ("verify", "rm"):
        parser.add_argument("names", metavar="NAME", nargs="*")
    if chore == "ls":
        parser.add_argument("--json", action="store_true")
    if chore == "verify":
        parser.add_argument("--remove-damaged", action="store_true")
    if chore == "rm":
        parser.add_argument("--force", action="store_true")
    if chore in ("rm", "gc"):
        parser.add_argument("--yes", action="store_true")
    if chore == "gc":
        parser.add_argument("--older-than", metavar="DAYS", type=_days, default=WEEK)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog}: {message}")


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not days >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days, 0 or more")
    return days
