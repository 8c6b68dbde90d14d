"""What every command leaves in its output directory, last and atomically: result.json."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from distill_cli.artifacts.files import make_directory, write_json
from distill_cli.artifacts.records import RESULT
from distill_cli.artifacts.store import Place
from distill_cli.runtime.environment import describe_environment

SCHEMA = 1
OF_THE_DATA = ("samples", "views")  # counts that all label sets of one command share


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
    """Of artefacts that count as one, the result of all; of one, its own. `place` is where none of them lies."""
    if len(results) == 1:
        return results[0]
    documents = [result.document() for result in results]
    return StageResult(
        stage=results[0].stage,
        status=status_of(results),
        place=place,
        inputs={
            f"{stage}-{number}": key
            for number, result in enumerate(results, 1)
            for stage, key in result.inputs.items()
        },
        metrics=_of_all([result.metrics for result in results]),
        seconds={"total": sum(result.seconds.get("total", 0.0) for result in results)},
        environment=results[0].environment,
        more={"artifact": None, "members": documents},
    )


def _of_all(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts add up, but for those of the data, which are everybody's; of accuracies and losses the mean."""
    found: dict[str, float] = {}
    for name in metrics[0]:
        values = [each.get(name) for each in metrics]
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) == len(values):
            found[name] = _together(name, numbers)
    return found


def _together(name: str, values: Sequence[float]) -> float:
    if name in OF_THE_DATA:
        return values[0]
    return sum(values) if all(type(value) is int for value in values) else fmean(values)


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
