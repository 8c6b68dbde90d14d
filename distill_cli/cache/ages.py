"""How long ago something was written. Clocks jump: what comes from the future is new."""

from __future__ import annotations

import time

UNITS = (("d", 86400.0), ("h", 3600.0), ("m", 60.0))


def age_of(modified: float) -> float:
    """In seconds, never less than 0."""
    return max(0.0, time.time() - modified)


def age_in_words(seconds: float) -> str:
    """12s, 3m, 5h, 20d: one unit is enough."""
    for unit, length in UNITS:
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"
