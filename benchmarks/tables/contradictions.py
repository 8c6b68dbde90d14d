"""What no field of a description is wrong about, but the table that they make."""

from __future__ import annotations

from collections import Counter
from typing import Any

from distill_cli.errors import ConfigError
from tables.description import SEED, Table


def refuse_contradictions(table: Table, said: dict[str, Any]) -> None:
    """Raises `ConfigError`."""
    if wrong := _contradiction(table, said):
        raise ConfigError(f"{table.name}: {wrong}")


def _contradiction(table: Table, said: dict[str, Any]) -> str | None:
    twice = Counter((section.title, row.label) for section in table.sections for row in section.rows)
    if (most := twice.most_common(1)) and most[0][1] > 1:
        return f"two rows are called {most[0][0][1]}"
    if not table.baseline and any(row.of == "baseline" for row in table.rows):
        return "baseline: false, but a row is of a baseline"
    if len(said["seeds"]) > 1 and not any(SEED in word for row in table.rows for word in row.words):
        return f"seeds: {said['seeds']}, but no word has a place for them: seed={SEED}"
    return None
