"""How far a figure can be trusted: an interval for one accuracy, a test for two models on the same samples.

No torch. Both are meant for what a report has: correct answers out of n test samples. What varies between
trainings (the seed) is not in them; for that there are sweeps over seeds.
"""

from __future__ import annotations

import math

NORMAL_95 = 1.959963984540054  # the normal distribution's 97.5 % quantile
SIGNIFICANT = 0.05


def wilson(right: int, samples: int) -> tuple[float, float] | None:
    """The 95 % score interval of a proportion (Wilson 1927); None without samples.

    Unlike the textbook's p ± 1.96 σ it stays within [0, 1] and is honest near its ends.
    """
    assert 0 <= right <= samples, (right, samples)
    if not samples:
        return None
    share, z = right / samples, NORMAL_95
    shrunk = 1 / (1 + z**2 / samples)
    middle = shrunk * (share + z**2 / (2 * samples))
    half = shrunk * z * math.sqrt(share * (1 - share) / samples + z**2 / (4 * samples**2))
    low, high = middle - half, middle + half
    return low if right else 0.0, high if right < samples else 1.0  # there exact, which rounding is not


def mcnemar(one_only: int, other_only: int) -> float:
    """Two-sided p of the exact test of McNemar (1947): whether two models err equally often on the same samples.

    Of the samples that exactly one of them has right, each is as likely to be the one's as the other's if they
    are equally good: a binomial with p = 1/2. Dietterich (1998) has it among the tests for two trained models.
    """
    few, n = min(one_only, other_only), one_only + other_only
    term = total = 1  # C(n, 0), in whole numbers: exact, and no larger than 2^n
    for k in range(few):
        term = term * (n - k) // (k + 1)
        total += term
    return min(1.0, float(2 * total / 2**n))


def is_noise(p: float) -> bool:
    """Whether a difference is one that nobody should celebrate."""
    return p >= SIGNIFICANT
