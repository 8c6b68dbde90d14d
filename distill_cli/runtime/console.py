"""What users see: lines and progress on stderr, results on stdout.

A line goes through `logging`, so that the job's log file has it too. Progress is a bar on a terminal and a plain
line now and then elsewhere; neither ever fails because nobody reads on. Where jobs run side by side, each line has
the number of its job.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress

SECONDS_BETWEEN_LINES = 10.0
LEAST_WIDTH = 80  # of what is piped; tables take what they need

_prefix = ""  # of each line on stderr


def say(message: str) -> None:
    """One line on stderr and in the job's log."""
    _log(logging.INFO, message)


def complain(message: str) -> None:
    """The one line that tells a user what went wrong. Without its `distill: error: `."""
    _log(logging.ERROR, f"distill: error: {message}")


@contextmanager
def numbered(job: int) -> Iterator[None]:
    """Lines on stderr start with `#N `, and nothing is drawn over them: other jobs write there, too."""
    global _prefix
    _prefix = f"#{job} "
    try:
        yield
    finally:
        _prefix = ""


def show(renderable: RenderableType) -> None:
    """A table or a text on stdout: fitted to a terminal, and in a pipe as wide as it needs."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(file=sys.stdout)
    if not console.is_terminal:
        unbounded = console.options.update(width=100_000)
        console.width = max(LEAST_WIDTH, Measurement.get(console, unbounded, renderable).maximum)
    with console.capture() as captured:
        console.print(renderable)
    _write(sys.stdout, captured.get())


@contextmanager
def track(description: str, total: int, unit: str, done: int = 0) -> Iterator[Tracker]:
    """Show how far a piece of work is; `done` of `total` were there before."""
    if _prefix or not _is_interactive(sys.stderr):
        lines = _Lines(description, total, unit, done)
        yield lines
        lines.finish()
        return
    with _progress() as progress:
        yield _Bar(description, total, unit, done, progress)


class Tracker:
    """Counts, and turns what it counted into words."""

    def __init__(self, description: str, total: int, unit: str, done: int) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done = self.done_before = done
        self.note = ""
        self.started = time.monotonic()

    def advance(self, n: int = 1, note: str = "") -> None:
        self.done += n
        self.note = note or self.note
        self._update()

    def status(self) -> str:
        """`12/40 epochs, 3.1/s, loss 0.123, 2m10s left`"""
        seconds = time.monotonic() - self.started
        rate = (self.done - self.done_before) / max(seconds, 1e-9)
        parts = [f"{self.done:,}/{self.total:,} {self.unit}"]
        if rate > 0:
            parts.append(f"{rate:,.3g}/s" if rate < 1000 else f"{rate:,.0f}/s")
        parts += [self.note] if self.note else []
        if rate > 0:
            left = self.total - self.done
            parts.append(
                f"{human_seconds(left / rate)} left" if left > 0 else f"took {human_seconds(seconds)}"
            )
        return ", ".join(parts)

    def _update(self) -> None:
        """Show the new state, if it is time to."""


class _Lines(Tracker):
    """For pipes and CI."""

    def __init__(self, description: str, total: int, unit: str, done: int) -> None:
        super().__init__(description, total, unit, done)
        self.said_at, self.said_done = self.started, done

    def _update(self) -> None:
        if time.monotonic() - self.said_at >= SECONDS_BETWEEN_LINES:
            self.finish()

    def finish(self) -> None:
        """Say where it stands, unless that was said already."""
        if self.done != self.said_done:
            say(f"{self.description}: {self.status()}")
            self.said_at, self.said_done = time.monotonic(), self.done


class _Bar(Tracker):
    """For terminals."""

    def __init__(self, description: str, total: int, unit: str, done: int, progress: Progress) -> None:
        super().__init__(description, total, unit, done)
        self.progress = progress
        self.shown_at = self.started
        self.task = progress.add_task(description, total=total, completed=done, status=self.status())

    def _update(self) -> None:
        """At most ten times a second: a step may take less time than the line about it."""
        if self.done >= self.total or time.monotonic() - self.shown_at >= 0.1:
            self.shown_at = time.monotonic()
            self.progress.update(self.task, completed=self.done, status=self.status())


class StderrHandler(logging.Handler):
    """Bare lines on whatever `sys.stderr` is at the time: while a bar is up, rich prints them above it."""

    def emit(self, record: logging.LogRecord) -> None:
        _write_line(self.format(record))


class LogFile(logging.FileHandler):
    """A job's log. That it cannot be written is no reason to stop the job, or to show a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        pass


def counted(number: int, noun: str) -> str:
    """1 job, 12 jobs"""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def human_seconds(seconds: float) -> str:
    """0.4s, 42s, 2m10s, 3h05m"""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def _log(level: int, message: str) -> None:
    logger = logging.getLogger("distill")
    if logger.hasHandlers():
        logger.log(level, message)
    if not any(isinstance(handler, StderrHandler) for handler in logging.getLogger().handlers):
        _write_line(message)  # before a job has set up logging


def _is_interactive(stream: TextIO) -> bool:
    in_ci = os.environ.get("CI", "") not in ("", "0", "false")
    return stream.isatty() and not in_ci and os.environ.get("TERM", "") not in ("dumb", "unknown")


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        console=Console(stderr=True),
    )


def _write_line(message: str) -> None:
    _write(sys.stderr, f"{_prefix}{message}\n")


def _write(stream: TextIO, text: str) -> None:
    """Write and flush. Characters a stream cannot show become `?`; a closed pipe swallows the rest."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        discard(stream)


def discard(stream: TextIO) -> None:
    """Send the rest of a stream nowhere, so that Python's flush at exit does not fail either."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
