"""What the environment and the command line say of how a table is made; none of it changes a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_cli.errors import ConfigError
from tables.description import Row, Run, Section, Table

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "docs/results"
MISSING, PAGE = "missing", "page"


@dataclass(frozen=True)
class Settings:
    words: tuple[str, ...] = ()  # behind every command: device=cuda
    places: tuple[str, ...] = ()  # paths.data=DIR, paths.artifacts=DIR
    rows: tuple[str, ...] = ()  # parts of `heading / label`; empty: all
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
        if not all(seed.isdigit() for seed in seeds):
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
        wanted = {
            run
            for section in table.sections
            for row in section.rows
            if self._wants(section, row)
            for run in row.of_seeds(self.seeds).runs
        }
        return [run for run in table.runs if run in wanted]

    def _wants(self, section: Section, row: Row) -> bool:
        return not self.rows or any(part in f"{section.title} / {row.label}" for part in self.rows)


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _places(environment: Mapping[str, str]) -> list[str]:
    named = {
        "paths.data": environment.get("BENCH_DATA"),
        "paths.artifacts": environment.get("BENCH_ARTIFACTS"),
    }
    return [f"{key}={Path(value).absolute()}" for key, value in named.items() if value]
