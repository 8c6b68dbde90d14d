"""What the environment and the command line say of how a table is made; none of it changes a figure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_cli.errors import ConfigError
from tables.description import Row, Run, Table

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "docs/results"
MISSING, PAGE = "missing", "page"


@dataclass(frozen=True)
class Settings:
    words: tuple[str, ...] = ()  # behind every command: device=cuda
    places: tuple[str, ...] = ()  # paths.data=DIR, paths.artifacts=DIR
    rows: tuple[
        str, ...
    ] = ()  # labels, `heading / label`s, or where neither is called so parts of them; empty: all
    seeds: tuple[int, ...] = ()
    only: str = ""  # missing, page
    descriptions: Path = HERE
    results: Path = RESULTS

    @classmethod
    def of(cls, environment: Mapping[str, str], words: Sequence[str]) -> Settings:
        """Raises `ConfigError`."""
        only = environment.get("BENCH_ONLY", "")
        if only not in ("", MISSING, PAGE):
            raise ConfigError(f"BENCH_ONLY={only} must be {MISSING} or {PAGE}")
        seeds = _several(environment.get("BENCH_SEEDS", ""))
        if not all(seed.isdecimal() for seed in seeds):
            raise ConfigError(f"BENCH_SEEDS={environment['BENCH_SEEDS']} must be numbers: BENCH_SEEDS=0,1")
        return cls(
            words=tuple(words),
            places=tuple(_places(environment)),
            rows=_several(environment.get("BENCH_ROWS", "")),
            seeds=tuple(map(int, seeds)),
            only=only,
            descriptions=Path(environment.get("BENCH_TABLES", HERE)),
            results=Path(environment.get("BENCH_RESULTS", RESULTS)),
        )

    def chosen(self, table: Table) -> list[Run]:
        """The runs of the rows and seeds that are asked for, in order, each once."""
        rows = [row for part in self.rows for row in _called(part, table)] if self.rows else table.rows
        wanted = {run for row in rows for run in row.of_seeds(self.seeds).runs}
        return [run for run in table.runs if run in wanted]

    def refuse_empty_choice(self, tables: Sequence[Table]) -> None:
        """Raises `ConfigError` where a row or a seed that is asked for is nowhere."""
        for part in self.rows:
            if not any(_called(part, table) for table in tables):
                labels = list(dict.fromkeys(row.label for table in tables for row in table.rows))
                raise ConfigError(f"BENCH_ROWS: no row is called {part}; there are {'; '.join(labels)}")
        known = {seed for table in tables for row in table.rows for seed in row.seeds}
        for seed in self.seeds:
            if seed not in known:
                raise ConfigError(f"BENCH_SEEDS={seed}: the seeds are {', '.join(map(str, sorted(known)))}")
        if not any(self.chosen(table) for table in tables):
            raise ConfigError("no row that BENCH_ROWS chooses has a seed of BENCH_SEEDS")


def _called(part: str, table: Table) -> list[Row]:
    """Exactly so; else those that have it in their names."""
    names = [(section, row) for section in table.sections for row in section.rows]
    exact = [row for section, row in names if part in (row.label, f"{section.title} / {row.label}")]
    return exact or [row for section, row in names if part in f"{section.title} / {row.label}"]


def _several(text: str) -> tuple[str, ...]:
    """Commas between them; or semicolons or lines, where these have commas of their own."""
    separators = "[;\n]" if re.search("[;\n]", text) else ","
    return tuple(part.strip() for part in re.split(separators, text) if part.strip())


def _places(environment: Mapping[str, str]) -> list[str]:
    named = {
        "paths.data": environment.get("BENCH_DATA"),
        "paths.artifacts": environment.get("BENCH_ARTIFACTS"),
    }
    return [f"{key}={Path(value).absolute()}" for key, value in named.items() if value]
