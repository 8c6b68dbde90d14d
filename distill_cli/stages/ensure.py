"""Make an artefact unless it is there: the part that all stages share.

`build` is called with the lock held and is the first to import torch.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from distill_cli.artifacts.files import make_directory, read_json, sweep_temporary, write_json
from distill_cli.artifacts.store import BUILD_NOTES, Place, read_manifest
from distill_cli.errors import ArtifactError, DistillError
from distill_cli.runtime.console import say
from distill_cli.runtime.environment import describe_environment
from distill_cli.stages.result import StageResult


@dataclass(frozen=True)
class Built:
    """What a build leaves beside the files in the working directory."""

    content: Mapping[str, Any]  # joins the manifest; holds "metrics"
    environment: Mapping[str, str] = field(default_factory=dict)
    resumed: bool = False


def ensure(
    stage: str, place: Place, inputs: Mapping[str, str], build: Callable[[], Built], command: str
) -> StageResult:
    """The stage's result, after building the artefact if it is not there. `command` makes it from nothing."""
    started = time.monotonic()
    if place.is_complete():
        return _up_to_date(stage, place, inputs)
    with place.locked(on_wait=lambda: say(f"waiting for another process that builds {place.name}")):
        if place.is_complete():
            return _up_to_date(stage, place, inputs)
        make_directory(place.work)
        sweep_temporary(place.work)
        before = _spent(place)
        try:
            built = build()
        except BaseException:
            _leave(place, before + time.monotonic() - started)
            raise
        seconds = {"total": time.monotonic() - started}
        notes = {
            "command": command,
            "seconds": {"total": before + seconds["total"]},  # of all attempts
            "environment": {**describe_environment(), **built.environment},
        }
        write_json(place.work / BUILD_NOTES, notes)
        place.publish(built.content)
    status = "resumed" if built.resumed else "built"
    metrics = built.content["metrics"]
    return StageResult(stage, status, place, inputs, metrics, seconds, built.environment)


def _spent(place: Place) -> float:
    """Seconds of the attempts that this one goes on from, as far as they were left."""
    with suppress(ArtifactError, KeyError, TypeError):
        return float(read_json(place.work / BUILD_NOTES)["seconds"]["total"])
    return 0.0


def _leave(place: Place, seconds: float) -> None:
    """An unfinished build: nothing where nothing was saved; else with how long it took so far."""
    with suppress(OSError, DistillError):  # what went wrong in the first place is worth more
        if any(path.name != BUILD_NOTES for path in place.work.iterdir()):
            write_json(place.work / BUILD_NOTES, {"seconds": {"total": seconds}})
        else:
            shutil.rmtree(place.work)


def _up_to_date(stage: str, place: Place, inputs: Mapping[str, str]) -> StageResult:
    return StageResult(stage, "up-to-date", place, inputs, read_manifest(place.directory)["metrics"])
