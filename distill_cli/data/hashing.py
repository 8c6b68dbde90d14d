"""Random numbers as a pure function of integers, vectorised.

A number depends on (seed, stream, view, index, number of the draw) and on nothing else: not on batch,
order, worker or process. That makes views replayable and lets a growing data set keep its parts. The function
is the finaliser of splitmix64 (Steele, Lea, Flood 2014, with Stafford's mix 13) chained over the integers.
Stored artefacts depend on its values: it never changes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint64]

_WORD = 2**64 - 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def hash64(seed: int, stream: int, view: ArrayLike, index: ArrayLike, draws: int) -> Words:
    """64 random bits for each draw of each (view, index): (*broadcast(view, index), draws).

    `stream` tells uses apart that must not share numbers. Integers beyond 64 bits lose their upper bits.
    """
    state = np.zeros(1, np.uint64)
    for counter in (seed, stream, view, index):
        state = _mix((state ^ _words(counter)[..., None]) + _GOLDEN)
    return _mix(state + _GOLDEN * np.arange(1, draws + 1, dtype=np.uint64))


def uniform(
    seed: int, stream: int, view: ArrayLike, index: ArrayLike, draws: int
) -> NDArray[np.float64]:  # (*broadcast(view, index), draws)
    """The same numbers as float64 in [0, 1), all 53 bits of them random."""
    return (hash64(seed, stream, view, index, draws) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(words: Words) -> Words:
    # Arrays of at least one axis wrap around in silence; NumPy's scalars would warn.
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))


def _words(counter: ArrayLike) -> Words:
    if isinstance(counter, int):
        return np.array(counter & _WORD, np.uint64)
    integers = np.asarray(counter)
    assert integers.dtype.kind in "iu", f"counters are integers, not {integers.dtype}"
    return integers.astype(np.uint64)
