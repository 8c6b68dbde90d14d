"""metrics.jsonl: the figures of a job, one line of JSON an epoch, for `tail -f` and for every tool.

A log and no artefact: lines are appended as they come, and a disk that is full stops the log and not the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from distill_cli.runtime.console import say

METRICS = "metrics.jsonl"
SCHEMA = 1


class MetricsLog:
    """There is no file before the first line: a command that trains nothing leaves none."""

    def __init__(self, path: Path) -> None:
        self.path, self.is_open = path, True

    @classmethod
    def begin(cls, directory: Path) -> MetricsLog:
        """A new one, in place of what an earlier command left in the same directory."""
        path = directory / METRICS
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return cls(path)

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line, for everybody to see when this returns; NaN must not be in it."""
        if not self.is_open:
            return
        text = json.dumps({"schema": SCHEMA, **line}, allow_nan=False, ensure_ascii=False)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:
            self.is_open = False
            say(f"{self.path}: {error.strerror}; the run goes on without it")
