"""Markdown as these pages need it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 116  # of prose, as in the rest of docs/


def prose(text: str) -> str:
    """Paragraphs, each filled."""
    paragraphs = (_bound(" ".join(part.split())) for part in text.split("\n\n"))
    return "\n\n".join(
        textwrap.fill(part, WIDTH, break_long_words=False, break_on_hyphens=False) for part in paragraphs
    )


def _bound(paragraph: str) -> str:
    """With spaces that do not break where a line would begin like an item of a list."""
    return re.sub(r" (?=([-+*#]|\d+\.) )", "\u00a0", paragraph)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text, and the others figures."""
    ruler = f"|---|{'---:|' * (len(head) - 1)}"
    return "\n".join([_line(head), ruler, *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |".replace("|  |", "| |")


def code(lines: Iterable[str]) -> str:
    return "\n".join(["```sh", *lines, "```"])
