"""A tracker that cannot harm a run: it works in a thread of its own, and its first failure, one line, is its last.

A server that does not answer, or a package that takes seconds to import, holds up nobody but this thread. Only at
the end somebody waits for it, and not for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from distill_cli.runtime.console import say
from distill_cli.trackers.tracker import Figures, Recorder, Run, Status, Tracker

PATIENCE = {"finished": 60.0, "failed": 20.0, "interrupted": 10.0}  # seconds at the end
LONGEST_REASON = 200  # letters
Letter = Callable[[Recorder], None]


class Guarded:
    def __init__(self, name: str, tracker: Tracker, run: Run) -> None:
        self.name, self.tracker, self.run = name, tracker, run
        self._letters: SimpleQueue[Letter | None] = SimpleQueue()
        self._is_off = False
        self._thread = Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def record(self, epoch: int, figures: Figures) -> None:
        self._letters.put(lambda recorder: recorder.record(epoch, figures))

    def end(self, status: Status) -> None:
        self._letters.put(lambda recorder: recorder.end(status))
        self._letters.put(None)

    def wait(self, status: Status) -> None:
        """Let it finish what it was told, for as long as patience lasts."""
        self._thread.join(PATIENCE[status])
        if self._thread.is_alive():
            self._give_up(f"no answer within {PATIENCE[status]:g} s")

    def _work(self) -> None:
        try:
            recorder = self.tracker.start(self.run)
            while letter := self._letters.get():
                letter(recorder)
        except BaseException as error:  # also a package that ends the process
            self._give_up(_reason(error))

    def _give_up(self, reason: str) -> None:
        """Said once: who was given up may still fail later."""
        if not self._is_off:
            self._is_off = True
            say(f"{self.name}: {reason}; the run goes on without it")


def _reason(error: BaseException) -> str:
    """What went wrong, in one line, without a password that may stand in an address."""
    text = re.sub(r"//[^/\s@]+@", "//", " ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
