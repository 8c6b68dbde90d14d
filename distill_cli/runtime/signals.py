"""Stopping in good order: within `graceful()` a signal is a request, and the work in hand is finished first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from distill_cli.errors import Interrupted

EXIT_CODES = {
    signal.SIGINT: 130,
    signal.SIGTERM: 143,
    signal.SIGUSR1: 143,  # Slurm's warning before a time limit
    signal.SIGUSR2: 143,  # submitit's
}


class StopRequest:
    """Set by the first signal. A second SIGINT ends the process at once."""

    def __init__(self) -> None:
        self.exit_code: int | None = None

    def __bool__(self) -> bool:
        return self.exit_code is not None

    def obey(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self.exit_code is not None:
            raise Interrupted(self.exit_code)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.exit_code = EXIT_CODES[signal.Signals(number)]
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def graceful() -> Iterator[StopRequest]:
    """Signals within set the `StopRequest`; afterwards the former handlers are back."""
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # handlers belong to the main thread; whoever runs us elsewhere stops us his own way
        return
    former = {number: signal.signal(number, stop._receive) for number in EXIT_CODES}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
