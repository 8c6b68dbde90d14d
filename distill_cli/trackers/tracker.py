"""What a tracker is: it is told what is being trained, its figures epoch by epoch, and how it ended.

Its settings are a frozen dataclass made from `conf/logger/`; `start` gives what does the work. Only `start` imports
the tracker's package: choosing a tracker costs a command that has nothing to do next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal, Protocol

from distill_cli.errors import ConfigError

Setting = str | int | float | bool | None
Figures = Mapping[str, float]
Status = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True)
class Run:
    """What is being made, for people to recognise and for machines to find."""

    name: str  # the artefact's: readable, and ends in its key
    stage: str  # teacher, student, baseline, report
    key: str
    command: str  # makes it from nothing
    group: str = ""  # what the runs of one command, or of one sweep, have in common
    settings: Mapping[str, Setting] = field(default_factory=dict)  # flat, with the names a user types


class Recorder(Protocol):
    """A tracker at work on one run."""

    def record(self, epoch: int, figures: Figures) -> None:
        """Figures of a finished epoch, or of the finished model; all of them finite."""

    def end(self, status: Status) -> None:
        """Called once, last."""


class Tracker(Protocol):
    def start(self, run: Run) -> Recorder: ...


def need_package(name: str, extra: str) -> None:
    """Raises `ConfigError` where a tracker's package is not installed. Imports nothing."""
    found = find_spec(name)
    if found is None or found.origin is None:  # a directory of that name, as wandb leaves one, is no package
        raise ConfigError(f"logger={extra} needs the extra: pip install 'distill-cli[{extra}]'")
