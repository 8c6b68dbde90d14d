"""What every command leaves in its output directory, last and atomically: result.json."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import make_directory, write_json
from distill_cli.artifacts.records import RESULT
from distill_cli.artifacts.store import Place
from distill_cli.runtime.environment import describe_environment

SCHEMA = 1


@dataclass(frozen=True)
class StageResult:
    """What a stage did. `status` is built, resumed or up-to-date."""

    stage: str
    status: str
    place: Place
    inputs: Mapping[str, str]  # stage to key
    metrics: Mapping[str, Any]
    seconds: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(
        default_factory=dict
    )  # what the run resolved: device, precision, …
    more: Mapping[str, Any] = field(default_factory=dict)  # what this stage alone has to say

    def document(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "stage": self.stage,
            "status": self.status,
            "name": self.place.name,
            "key": self.place.key,
            "artifact": str(self.place.directory.absolute()),
            "inputs": dict(self.inputs),
            "metrics": finite_or_null(self.metrics),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "environment": {**describe_environment(), **self.environment},
            **finite_or_null(self.more),
        }


def together(results: Sequence[StageResult], place: Place) -> StageResult:
    """Of artefacts that count as one, the result of all; of one, its own."""
    if len(results) == 1:
        return results[0]
    seconds = {"total": sum(result.seconds.get("total", 0.0) for result in results)}
    documents = [result.document() for result in results]
    status = status_of(results)
    return StageResult(results[0].stage, status, place, {}, {}, seconds, more={"members": documents})


def status_of(results: Iterable[StageResult]) -> str:
    """Up to date if all are; resumed if anything was; else built."""
    found = {result.status for result in results}
    return "resumed" if "resumed" in found else "built" if "built" in found else "up-to-date"


def write_result(output: Path, document: Mapping[str, Any]) -> None:
    make_directory(output)
    write_json(output / RESULT, document)


def finite_or_null(value: Any) -> Any:
    """JSON has no NaN: a figure that does not exist is null."""
    if isinstance(value, Mapping):
        return {key: finite_or_null(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
