"""Which samples are held out, keep their label, or are shown to students: decided one by one, by a hash of each.

A sample's key is its position, or its path where it is a file. So a set that grows keeps every role it has
given, and a larger fraction contains the smaller one. The share is met on average, not to the sample.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill_cli.data.hashing import uniform
from distill_cli.data.splits import UNLABELLED, Split
from distill_cli.errors import ConfigError

# One stream of random numbers for each decision, far away from the small numbers that views use.
TEST, VALIDATION, LABELLED, TRANSFER = (
    int.from_bytes(word) for word in (b"test", b"validate", b"labelled", b"transfer")
)


def keys_of(split: Split) -> NDArray[np.uint64]:
    """What the hash is taken of: the split's own `keys` where it has them, else the positions."""
    keys: NDArray[np.uint64] = getattr(split, "keys", np.arange(len(split), dtype=np.uint64))
    return keys


def chosen(stream: int, fraction: float, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """A mask that is true for about `fraction` of the keys."""
    return uniform(0, stream, 0, keys, 1)[..., 0] < fraction


def is_labelled(split: Split) -> NDArray[np.bool_]:
    """Only such samples are held out: the others could not be judged."""
    return np.asarray(split.labels != UNLABELLED)


def hold_out_test(everything: Split, test: float) -> tuple[Split, Split]:
    """The train and test parts of a set whose publisher made none. Raises `ConfigError` on a bad `test`."""
    mask = chosen(TEST, fraction("test", test, 0.0, 0.9), keys_of(everything)) & is_labelled(everything)
    return everything.take(~mask), everything.take(mask)


def fraction(name: str, value: Any, lowest: float, highest: float) -> float:
    """`value` as a float, if it is a number in [lowest, highest]. Raises `ConfigError` naming data.`name`."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not lowest <= number <= highest:
        raise ConfigError(f"data.{name}={value} must be a number from {lowest:g} to {highest:g}")
    return float(number)
