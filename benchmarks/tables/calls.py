"""A `distill` command as a child process, to its end.

It is in a process group of its own, so that Ctrl-C reaches it once, from here: it saves its work and leaves.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.records import Records
from distill_cli.runtime.signals import EXIT_CODES

COMMAND = Path(sys.executable).with_name("distill")


@dataclass(frozen=True)
class Ended:
    code: int
    results: list[dict[str, Any]]  # result.json of each job
    complaints: list[str]  # of each that failed, its one line
    stopped: int | None  # the exit code to leave with, where a signal came

    @property
    def complaint(self) -> str:
        return self.complaints[0] if self.complaints else f"exit code {self.code}"


@dataclass
class _Child:
    process: subprocess.Popen[bytes] | None = None
    signals: list[int] = field(default_factory=list)

    def receive(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)
        if self.process is not None:
            self.process.send_signal(number)


def call(words: Sequence[str], directory: Path, *, quiet: bool = False) -> Ended:
    """`distill WORDS`, whose output directories are below `directory`. It is heard on stderr, unless quiet."""
    with _signals_passed_on() as child:
        child.process = subprocess.Popen(
            [str(COMMAND), *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if quiet else None,
            process_group=0,
        )
        for number in child.signals:  # that came before there was a child
            child.process.send_signal(number)
        code = child.process.wait()
    found = Records.below(directory)
    return Ended(
        code,
        results=[read_json(path) for path in found.results],
        complaints=[read_json(path)["message"] for path in found.errors],
        stopped=EXIT_CODES[signal.Signals(child.signals[0])] if child.signals else _stopped(code),
    )


def _stopped(code: int) -> int | None:
    """Where somebody else sent the child its signal."""
    return code if code in EXIT_CODES.values() else None


@contextmanager
def _signals_passed_on() -> Iterator[_Child]:
    child = _Child()
    former = {number: signal.signal(number, child.receive) for number in EXIT_CODES}
    try:
        yield child
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
