"""What the jobs of one process share: large things that are only ever read, each found by what it was made from.

Hydra runs the jobs of a sweep one after the other in one process. The parsed data set, its pictures on the device
and the rows of the soft labels are the same in most of them, so they stay between the jobs of a sweep, and only
there: a single command keeps nothing. They are dropped, the longest unused ones first, where memory grows short,
and all of them where it has run out. Nobody may write to what comes from here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
CONTROL = Path("/sys/fs/cgroup")  # a container's limits, where there are any
MEMINFO = Path("/proc/meminfo")


class Shared:
    """A store by key. `memory` says how many bytes are (available, there in all), or None where nobody knows."""

    def __init__(self, memory: Callable[[], tuple[int, int] | None]) -> None:
        self.keeps = False  # outside of a sweep's jobs it neither takes nor gives anything
        self._memory = memory
        self._things: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()  # the longest unused first
        self._lock = threading.RLock()

    @contextmanager
    def during(self, job_of_sweep: bool) -> Iterator[None]:
        """What a sweep's job asks for within is there for the next one."""
        self.keeps = job_of_sweep
        try:
            yield
        finally:
            self.keeps = False

    def get(self, key: Hashable, size: int, make: Callable[[], T]) -> T:
        """What `make` gave when this key was first asked for; `size` is how many bytes it keeps alive."""
        with self._lock:
            if key in self:
                return self.find(key)  # type: ignore[no-any-return]
            if not self.keeps:
                return make()
            self._make_room(size, size)
            return self.keep(key, size, make())

    def find(self, key: Hashable) -> Any:
        """What is kept under this key, or None."""
        with self._lock:
            if key not in self:
                return None
            self._things.move_to_end(key)
            return self._things[key][1]

    def keep(self, key: Hashable, size: int, thing: T) -> T:
        """The thing itself, from now on to be found; for what has no size before it is made."""
        with self._lock:
            if self.keeps:
                self._make_room(size, 0)
                self._things[key] = size, thing
            return thing

    def __contains__(self, key: Hashable) -> bool:
        return self.keeps and key in self._things

    def release(self) -> bool:
        """Drop everything; False where there was nothing."""
        with self._lock:
            had_things = bool(self._things)
            self._things.clear()
            return had_things

    @property
    def bytes(self) -> int:
        return sum(size for size, _ in self._things.values())

    def _make_room(self, size: int, missing: int) -> None:
        while self._things and self._is_short(size, missing):
            self._things.popitem(last=False)

    def _is_short(self, size: int, missing: int) -> bool:
        """Whether a thing of this size would leave less than a tenth of the machine, or all kept take half of it.

        `missing` is how much of it is still to be allocated.
        """
        memory = self._memory()
        if memory is None:
            return False
        available, total = memory
        return available < missing + total / 10 or self.bytes + size > total / 2


def machine_memory() -> tuple[int, int] | None:
    """Bytes that are (available, there in all) to this process, as far as Linux says so."""
    try:
        lines = (line.split() for line in MEMINFO.read_text().splitlines())
        found = {words[0]: int(words[1]) * 1024 for words in lines}
        available, total = found["MemAvailable:"], found["MemTotal:"]
    except (OSError, KeyError, ValueError, IndexError):
        return None
    limit = _container_limit()
    return (available, total) if limit is None else (min(available, limit[0]), min(total, limit[1]))


def _container_limit() -> tuple[int, int] | None:
    """Files in the page cache count as used, but give way."""
    try:
        total = int((CONTROL / "memory.max").read_text())
        used = int((CONTROL / "memory.current").read_text())
        entries = (line.split() for line in (CONTROL / "memory.stat").read_text().splitlines())
        cached = {name: int(value) for name, value in entries}["inactive_file"]
    except (OSError, KeyError, ValueError):  # "max": no limit
        return None
    return total - used + cached, total


shared = Shared(machine_memory)  # of this process
