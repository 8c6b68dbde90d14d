"""The words after `distill compare`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from distill_cli.cache.options import default_root
from distill_cli.config.words import WordParser

OUTPUT = Path("outputs/compare")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """`paths`, `output` and `artifacts`. Raises `ConfigError`."""
    parser = WordParser("distill compare")
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--output", metavar="DIR", type=Path, default=OUTPUT)
    parser.add_argument("--artifacts", metavar="DIR", type=Path, default=default_root())
    found = parser.parse(words)
    if not found.paths:
        parser.error("name what to compare: students, reports, a sweep's directory, or artifacts/students")
    return found
