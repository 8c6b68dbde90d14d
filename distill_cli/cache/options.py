"""The words after `distill cache ls`, `verify`, `rm` and `gc`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from distill_cli.config.words import WordParser

WEEK = 7.0  # days


def parse(chore: str, words: Sequence[str]) -> argparse.Namespace:
    """Options and names may stand in any order. Raises `ConfigError`."""
    return _parser(chore).parse(words)


def default_root() -> Path:
    """As in the config."""
    return Path(os.environ.get("DISTILL_ARTIFACTS") or "artifacts")


def _parser(chore: str) -> WordParser:
    parser = WordParser(f"distill cache {chore}")
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


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not days >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days, 0 or more")
    return days
