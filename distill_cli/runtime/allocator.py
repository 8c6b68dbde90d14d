"""What the C library does with memory that is given back: keep it, for the next step wants the same.

By default glibc hands blocks of a few MiB to the system as soon as they are freed, and every step of a training on
a CPU begins with thousands of page faults: a tenth of the time of a resnet8x4 (docs/benchmarks.md).
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST_KEPT = 32 << 20  # bytes of a block; glibc takes no larger number
KEPT = (1 << 31) - 1  # bytes in all


@cache
def keep_freed_memory() -> bool:
    """For the rest of this process. False where the C library is not glibc, or the user has told it otherwise."""
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl has none, Windows no such handle
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(M_TRIM_THRESHOLD, KEPT))
