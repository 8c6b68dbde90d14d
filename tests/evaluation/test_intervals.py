"""Intervals and tests against published values and exact sums."""

import math
from fractions import Fraction

import pytest

from distill_cli.evaluation.intervals import NORMAL_95, is_noise, mcnemar, wilson


@pytest.mark.parametrize(
    ("right", "samples", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_has_the_values_that_newcombe_published(right, samples, low, high):
    """Table I of Newcombe (1998), Statistics in Medicine 17, method 3."""
    assert wilson(right, samples) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("right", "samples"), [(1, 2), (422, 429), (49_000, 50_000)])
def test_at_its_ends_the_share_lies_1_96_standard_errors_away(right, samples):
    for bound in wilson(right, samples):
        error = math.sqrt(bound * (1 - bound) / samples)
        assert abs(right / samples - bound) == pytest.approx(NORMAL_95 * error, rel=1e-9)


@pytest.mark.parametrize("samples", [1, 7, 10, 429, 10_000])
def test_all_wrong_begins_at_zero_and_all_right_ends_at_one_exactly(samples):
    assert wilson(0, samples)[0] == 0.0 and wilson(samples, samples)[1] == 1.0


def test_all_wrong_mirrors_all_right():
    low, high = wilson(0, 10), wilson(10, 10)
    assert low[1] == pytest.approx(1 - high[0]) and low[1] == pytest.approx(0.2775, abs=5e-5)


def test_it_holds_the_accuracy_on_all_pictures_95_times_in_100_and_another_sets_figure_5_times_in_6():
    """What the page on reports says of it, summed over all that two test sets can show."""
    samples, share = 400, 0.9
    chances = [math.comb(samples, k) * share**k * (1 - share) ** (samples - k) for k in range(samples + 1)]
    holds = another = 0.0
    for right, chance in enumerate(chances):
        low, high = wilson(right, samples)
        holds += chance * (low <= share <= high)
        another += chance * sum(c for k, c in enumerate(chances) if low <= k / samples <= high)
    assert holds == pytest.approx(0.95, abs=0.01) and another == pytest.approx(5 / 6, abs=0.015)


def test_without_samples_there_is_no_interval():
    assert wilson(0, 0) is None


def tails(one: int, other: int) -> float:
    """Twice the smaller tail of a fair coin, in fractions."""
    n = one + other
    tail = sum(Fraction(math.comb(n, k), 2**n) for k in range(min(one, other) + 1))
    return float(min(Fraction(1), 2 * tail))


@pytest.mark.parametrize("one", [0, 1, 3, 7, 18])
@pytest.mark.parametrize("other", [0, 2, 7, 25, 60])
def test_p_is_twice_the_smaller_tail_of_a_fair_coin_whoever_comes_first(one, other):
    assert mcnemar(one, other) == mcnemar(other, one) == pytest.approx(tails(one, other), rel=1e-12)


@pytest.mark.parametrize(
    ("one", "other", "p"), [(0, 5, 0.0625), (0, 6, 0.03125), (2, 8, 0.109375), (7, 7, 1.0)]
)
def test_small_cases_come_out_as_by_hand(one, other, p):
    assert mcnemar(one, other) == p


def test_two_models_that_never_differ_are_not_told_apart():
    assert mcnemar(0, 0) == 1 and is_noise(mcnemar(0, 0))


def test_tens_of_thousands_of_differences_are_no_overflow():
    assert 0 <= mcnemar(10_000, 30_000) < 1e-300
    assert mcnemar(20_000, 20_100) == pytest.approx(math.erfc(100 / math.sqrt(2 * 40_100)), rel=0.02)


def test_five_percent_is_where_noise_ends():
    assert is_noise(mcnemar(0, 5)) and not is_noise(mcnemar(0, 6))
