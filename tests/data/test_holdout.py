from __future__ import annotations

import numpy as np
import pytest

from distill_cli.data.holdout import LABELLED, TEST, VALIDATION, chosen, fraction
from distill_cli.errors import ConfigError

KEYS = np.arange(20_000, dtype=np.uint64)


def test_about_the_wanted_share_is_chosen():
    for share in (0.0, 0.01, 0.1, 0.5, 1.0):
        assert (
            abs(chosen(TEST, share, KEYS).mean() - share)
            < 5 * np.sqrt(share * (1 - share) / len(KEYS)) + 1e-9
        )


def test_a_larger_share_contains_the_smaller():
    assert not (chosen(TEST, 0.1, KEYS) & ~chosen(TEST, 0.2, KEYS)).any()


def test_the_first_samples_keep_their_role_when_more_come():
    assert np.array_equal(chosen(TEST, 0.3, KEYS)[:500], chosen(TEST, 0.3, KEYS[:500]))


def test_the_three_decisions_are_independent():
    masks = [chosen(stream, 0.5, KEYS) for stream in (TEST, VALIDATION, LABELLED)]
    assert np.abs(np.corrcoef(masks) - np.eye(3)).max() < 5 / np.sqrt(len(KEYS))


def test_who_is_held_out_never_changes():
    assert np.flatnonzero(chosen(TEST, 0.25, KEYS[:24])).tolist() == [2, 15, 16, 20]
    assert np.flatnonzero(chosen(VALIDATION, 0.25, KEYS[:24])).tolist() == [2, 3, 4]


@pytest.mark.parametrize("value", [-0.1, 0.91, float("nan"), float("inf"), None, "0.1", True, [0.1]])
def test_a_share_that_makes_no_sense_is_named(value):
    with pytest.raises(ConfigError, match=r"data\.validation=.* must be a number from 0 to 0\.9"):
        fraction("validation", value, 0.0, 0.9)
