"""From a command's result.json, and the artefacts that it names, to what is recorded of the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import cpu_name

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.store import BUILD_NOTES
from distill_cli.errors import ArtifactError
from distill_cli.evaluation.report import REPORT
from tables.keys import Keys
from tables.records import Recorded

Result = Mapping[str, Any]
STAGES = {
    "teacher": "train-teacher",
    "soft_labels": "gen-soft-labels",
    "student": "distill",
    "baseline": "baseline",
    "evaluation": "evaluate",
}
MACHINE = ("cpu", "device", "precision", "threads", "python", "torch", "distill_cli")


def recorded(result: Result, keys: Keys, classes: Iterable[str]) -> Recorded:
    """`classes`: those whose recall the table shows."""
    stages = result["stages"]
    labels = stages.get("gen-soft-labels")
    return {
        "keys": keys,
        "evaluation": result["key"],
        "figures": _figures(result, list(classes)),
        "soft_labels": {name: labels["metrics"][name] for name in ("views", "bytes")} if labels else None,
        "seconds": {name: _seconds(stages[verb]) for name, verb in STAGES.items() if verb in stages},
        "machine": _machine(stages["distill"]),
        "date": datetime.now(UTC).date().isoformat(),
    }


def unplanned(result: Result, keys: Keys) -> list[str]:
    """What has another key than was planned: somebody changed the config, or its words said more."""
    stages = result["stages"]
    return [
        role.replace("_", " ")
        for role, verb in STAGES.items()
        if role in keys and verb in stages and stages[verb]["key"] != keys[role]
    ]


def _figures(result: Result, classes: list[str]) -> dict[str, Any]:
    recalls = _recalls(Path(result["artifact"]), classes) if classes else {}
    return {
        role: {
            **{
                name: model[name]
                for name in ("top1", "top1_uncorrected", "samples", "parameters")
                if name in model
            },
            **({"recall": recalls[role]} if classes else {}),
        }
        for role, model in result["models"].items()
        if model
    }


def _recalls(evaluation: Path, classes: list[str]) -> dict[str, dict[str, float]]:
    found = {one["class"]: one for one in read_json(evaluation / REPORT)["per_class"]}
    roles = ("teacher", "student", "baseline")
    return {role: {name: found[name][role] for name in classes if name in found} for role in roles}


def _seconds(stage: Result) -> float:
    """How long the artefact took to make, whenever that was; of soft labels, which grow, this time's share."""
    with suppress(ArtifactError, KeyError, TypeError):
        return round(read_json(Path(stage["artifact"]) / BUILD_NOTES)["seconds"]["total"], 1)
    return round(stage["seconds"].get("total", 0.0), 1)


def _machine(stage: Result) -> dict[str, str]:
    """That built the student."""
    environment = stage["environment"]
    with suppress(ArtifactError, KeyError, TypeError):
        environment = read_json(Path(stage["artifact"]) / BUILD_NOTES)["environment"]
    known = {name: environment[name] for name in MACHINE if name in environment}
    return {"cpu": cpu_name(), **known} if known.get("device") == "cpu" else known
