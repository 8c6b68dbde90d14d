"""How many of the machine's cores this process may use: all it was given, or its share where jobs run side by side.

A share is handed down in the environment, where the jobs' processes, and the libraries that start threads in them,
look for it before they do anything else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = "DISTILL_CORES"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # where nobody asked for fewer


def cores() -> int:
    """Those that the system gives to this process, and no more than `DISTILL_CORES` says."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(given, _number(SHARE) or given)


def hand_down(share: int) -> None:
    """Processes that are started from now on use this many cores each."""
    for name in (SHARE, *THREADS):
        os.environ[name] = str(min(share, _number(name) or share))


@contextmanager
def handed_down_no_longer() -> Iterator[None]:
    """Afterwards the environment is as it was."""
    before = {name: os.environ.get(name) for name in (SHARE, *THREADS)}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _number(name: str) -> int | None:
    """A positive whole number in the environment. `4,2` is OpenMP's way to say 4, and 2 within these."""
    text = os.environ.get(name, "").partition(",")[0].strip()
    return int(text) if text.isdigit() and int(text) > 0 else None
