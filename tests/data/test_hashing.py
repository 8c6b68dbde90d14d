from __future__ import annotations

import numpy as np
import pytest

from distill_cli.data.hashing import hash64, uniform

SAMPLES = 200_000


def test_the_values_never_change() -> None:
    assert [hex(word) for word in hash64(0, 0, 0, 0, 2)] == ["0x78ae5a9a6b5fd45e", "0xb9895a2b68592df1"]
    assert [hex(word) for word in hash64(1, 2, 3, 4, 2)] == ["0x68055585a968b899", "0x9a72e9c958bd6b24"]
    assert hex(hash64(-1, 5, 0, np.array([2**40]), 1)[0, 0]) == "0x91b9b244e34528d8"


def test_it_is_the_finaliser_of_splitmix64_chained() -> None:
    mask = 2**64 - 1

    def mix(word: int) -> int:
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & mask
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB & mask
        return word ^ (word >> 31)

    state = 0
    for counter in (123, 4, 5, 678):
        state = mix(((state ^ counter) + 0x9E3779B97F4A7C15) & mask)
    expected = [mix((state + draw * 0x9E3779B97F4A7C15) & mask) for draw in (1, 2, 3)]
    assert hash64(123, 4, 5, 678, 3).tolist() == expected


def test_a_number_does_not_depend_on_the_batch_it_is_drawn_in() -> None:
    view, index = np.meshgrid(np.arange(5), np.arange(100), indexing="ij")
    together = hash64(7, 1, view, index, 4)
    assert together.shape == (5, 100, 4)
    order = np.random.default_rng(0).permutation(100)
    assert np.array_equal(hash64(7, 1, 3, order, 4), together[3, order])
    assert np.array_equal(hash64(7, 1, np.arange(5), 42, 4), together[:, 42])
    assert np.array_equal(hash64(7, 1, 3, 42, 2), together[3, 42, :2])


def test_view_and_index_broadcast() -> None:
    assert hash64(0, 0, np.zeros((3, 1), np.int64), np.arange(4), 2).shape == (3, 4, 2)
    assert hash64(0, 0, 0, 0, 2).shape == (2,)
    assert uniform(0, 0, np.arange(3), 0, 0).shape == (3, 0)


@pytest.mark.parametrize("seed", [-1, 2**64 - 1, 2**64, 10**30, -(10**30)])
def test_any_seed_is_taken_and_keeps_its_lower_64_bits(seed: int) -> None:
    assert np.array_equal(hash64(seed, 0, 0, np.arange(9), 3), hash64(seed % 2**64, 0, 0, np.arange(9), 3))


def test_integer_types_do_not_matter() -> None:
    expected = hash64(3, 2, 1, np.arange(100), 2)
    for kind in (np.uint8, np.int32, np.uint64):
        assert np.array_equal(hash64(3, 2, kind(1), np.arange(100).astype(kind), 2), expected)
    assert np.array_equal(hash64(3, 2, 1, list(range(100)), 2), expected)


def test_fractions_are_refused_as_counters() -> None:
    with pytest.raises(AssertionError, match="float64"):
        hash64(0, 0, 0, np.array([0.5]), 1)


def test_uniform_is_the_upper_53_bits() -> None:
    words, numbers = hash64(1, 2, 3, np.arange(1000), 2), uniform(1, 2, 3, np.arange(1000), 2)
    assert numbers.dtype == np.float64
    assert numbers.min() >= 0 and numbers.max() < 1
    assert np.array_equal((numbers * 2**53).astype(np.uint64), words >> np.uint64(11))


def streams() -> dict[str, np.ndarray]:
    """As many numbers along each of the counters."""
    many = np.arange(SAMPLES)
    return {
        "index": uniform(0, 0, 0, many, 1)[:, 0],
        "view": uniform(0, 0, many, 0, 1)[:, 0],
        "next view": uniform(0, 0, 1, many, 1)[:, 0],
        "next stream": uniform(0, 1, 0, many, 1)[:, 0],
        "next seed": uniform(1, 0, 0, many, 1)[:, 0],
        "draw": uniform(0, 0, 0, 0, SAMPLES),
        "second draw": uniform(0, 0, 0, many, 2)[:, 1],
        "seed": np.concatenate(
            [uniform(seed, 0, 0, np.arange(100), 1)[:, 0] for seed in range(SAMPLES // 100)]
        ),
        "power of two": uniform(2**63, 0, 0, many << 20, 1)[:, 0],
    }


def test_numbers_are_uniform_along_every_counter() -> None:
    for name, numbers in streams().items():
        assert abs(numbers.mean() - 0.5) < 5 * np.sqrt(1 / 12 / SAMPLES), name
        assert abs(numbers.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / SAMPLES), name
        counts = np.bincount((numbers * 256).astype(int), minlength=256)
        chi_square = ((counts - SAMPLES / 256) ** 2).sum() / (SAMPLES / 256)  # 255 degrees of freedom
        assert 255 - 5 * np.sqrt(510) < chi_square < 255 + 5 * np.sqrt(510), name


def test_numbers_of_neighbouring_counters_do_not_correlate() -> None:
    numbers = streams()
    correlation = np.corrcoef(list(numbers.values())) - np.eye(len(numbers))
    assert np.abs(correlation).max() < 5 / np.sqrt(SAMPLES)
    for name, values in numbers.items():
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 5 / np.sqrt(SAMPLES), name


def test_every_bit_of_every_counter_flips_half_of_the_bits() -> None:
    base = hash64(5, 6, 7, 8, 1)[0]
    for bit in range(63):
        for changed in (
            hash64(5 ^ (1 << bit), 6, 7, 8, 1),
            hash64(5, 6 ^ (1 << bit), 7, 8, 1),
            hash64(5, 6, 7 ^ (1 << bit), 8, 1),
            hash64(5, 6, 7, 8 ^ (1 << bit), 1),
        ):
            assert 12 < int(base ^ changed[0]).bit_count() < 52
