"""One row a student, nothing folded and nothing rounded: for pandas and the like."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from distill_cli.comparison.columns import Column
from distill_cli.comparison.facts import Thing
from distill_cli.comparison.row import LATENCY, Row
from distill_cli.comparison.table import Table

METRICS = ("validation_top1", "test_top1", "train_loss", "parameters")  # of the manifest
REPORTED = ("nll", "ece", "agreement", "kl_to_teacher", "macs", "file_bytes", LATENCY, "latency_ms_b64_p50")


def spreadsheet(table: Table) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    settings = [column.name for column in table.columns]
    own = ["seed", "rank", "role", "name", "key", "path"]
    writer.writerow([*settings, *own, *METRICS, "test_gain", *REPORTED, "device", "command"])
    for row in table.all_rows:
        writer.writerows(_lines(table, row))
    return file.getvalue()


def _lines(table: Table, row: Row) -> Iterator[list[Any]]:
    settings = [_value(column, row) for column in table.columns]
    for student, gain in zip(row.students, row.gains, strict=True):
        measured = row.measured.get(student.key)
        reported = [measured.figures.get(name) if measured else None for name in REPORTED]
        metrics = [student.metrics.get(name) for name in METRICS]
        own = [student.seed, row.rank, row.role, student.name, student.key, str(student.directory.absolute())]
        device = measured.device if measured else None
        yield [*settings, *own, *metrics, gain, *reported, device, student.command]


def _value(column: Column, row: Row) -> Any:
    """A number with all its digits, a word as in the table, nothing where there is nothing."""
    fact = row.facts.get(column.name)
    if fact is None:
        return None
    return column.cell(row.facts) if isinstance(fact.value, Thing | list | bool | None) else fact.value
