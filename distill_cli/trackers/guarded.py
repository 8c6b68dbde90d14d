"""A tracker that cannot harm a run: it works in a thread of its own, and its first failure, one line, is its last.

A server that does not answer, or a package that takes seconds to import, holds up nobody but this thread. Only at
the end somebody waits for it, and not for ever; who did not come up, or did not answer, is not tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread

from distill_cli.runtime.addresses import without_secrets
from distill_cli.runtime.console import say
from distill_cli.runtime.signals import graceful
from distill_cli.trackers.tracker import Figures, Recorder, Run, Status, Tracker

PATIENCE = {"finished": 60.0, "failed": 20.0, "interrupted": 10.0}  # seconds at the end, for all together
SILENCE = 0.1  # the share of it after which a line says who is waited for
GLANCE = 0.2  # seconds between two looks at whether a signal has come
LONGEST_REASON = 200  # letters
Letter = Callable[[Recorder], None]

_given_up: list[tuple[str, Tracker]] = []  # by this process


def is_given_up(name: str, tracker: Tracker) -> bool:
    """Whether one with these settings did not start, or did not answer, earlier in this process."""
    return (name, tracker) in _given_up


class Guarded:
    def __init__(self, name: str, tracker: Tracker, run: Run) -> None:
        self.name, self.tracker, self.run = name, tracker, run
        self._letters: SimpleQueue[Letter | None] = SimpleQueue()
        self._is_off = False
        self._thread = Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    @property
    def is_at_work(self) -> bool:
        return self._thread.is_alive()

    def record(self, epoch: int, figures: Figures) -> None:
        self._letters.put(lambda recorder: recorder.record(epoch, figures))

    def end(self, status: Status) -> None:
        self._letters.put(lambda recorder: recorder.end(status))
        self._letters.put(None)

    def wait(self, seconds: float) -> None:
        """Let it finish what it was told."""
        self._thread.join(seconds)

    def give_up(self, reason: str, *, for_good: bool = True) -> None:
        """Said once: who was given up may still fail later."""
        if not self._is_off:
            self._is_off = True
            if for_good:
                _given_up.append((self.name, self.tracker))
            say(f"{self.name}: {reason}; the run goes on without it")

    def _work(self) -> None:
        has_started = False
        try:
            recorder = self.tracker.start(self.run)
            has_started = True
            while letter := self._letters.get():
                letter(recorder)
        except BaseException as error:  # also a package that ends the process
            self.give_up(_reason(error), for_good=not has_started)


def wait_for(guards: Sequence[Guarded], status: Status) -> None:
    """Let all of them finish what they were told. A signal ends the wait, and is raised as `Interrupted`."""
    began, patience, is_silent = time.monotonic(), PATIENCE[status], True
    with graceful() as stop:
        while late := [guard for guard in guards if guard.is_at_work]:
            stop.obey()
            waited = time.monotonic() - began
            if waited >= patience:
                break
            if is_silent and waited >= SILENCE * patience:
                is_silent = False
                names = ", ".join(guard.name for guard in late)
                say(f"waiting for {names} ({patience:g} s at most); Ctrl-C leaves")
            late[0].wait(min(GLANCE, patience - waited))
    for guard in late:
        guard.give_up(f"no answer within {patience:g} s")


def _reason(error: BaseException) -> str:
    """What went wrong, in one line, without a password that may stand in an address."""
    text = without_secrets(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
