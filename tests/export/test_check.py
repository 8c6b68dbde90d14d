"""Comparing an export with the student: what is measured, and what is refused."""

import numpy as np
import pytest
import torch
from students import textbook

from distill_cli.errors import DistillError
from distill_cli.export.check import Comparison, spread


def test_the_largest_difference_of_a_logit_is_found(cnn):
    def run(pixels):
        logits = textbook(cnn, pixels)
        logits[pixels[:, 0, 0, 0] == cnn.data.test.images[7, 0, 0, 0], 1] += 0.25
        return logits

    comparison = Comparison.of(cnn, run, 20)
    assert comparison.samples == 20 and comparison.max_error == pytest.approx(0.25, abs=1e-5)
    comparison.hold(0.26)
    with pytest.raises(
        DistillError, match=r"^nothing is exported: largest difference of a logit 0.25"
    ) as raised:
        comparison.hold(0.24)
    assert raised.value.exit_code == 1


def test_the_share_of_equal_classes_is_counted(cnn):
    comparison = Comparison.of(cnn, lambda pixels: -textbook(cnn, pixels), 20)
    assert comparison.agreement == 0 and "the same class in 0" in str(comparison)
    assert Comparison.of(cnn, lambda pixels: textbook(cnn, pixels), 20).agreement == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number_is_refused(cnn, value):
    with np.errstate(invalid="ignore"):
        comparison = Comparison.of(cnn, lambda pixels: textbook(cnn, pixels) * np.float32(value), 20)
    with pytest.raises(DistillError, match="nothing is exported"):
        comparison.hold(1e9)


def test_the_first_picture_is_run_alone(cnn):
    sizes = []

    def run(pixels):
        assert pixels.dtype == np.uint8
        sizes.append(len(pixels))
        return textbook(cnn, pixels)

    Comparison.of(cnn, run, 20)
    Comparison.of(cnn, run, 1)
    assert sizes == [1, 19, 1, 2]


def test_a_program_that_takes_one_picture_only_is_refused_even_after_one_picture(cnn):
    def run(pixels):
        return textbook(cnn, pixels) + np.float32(len(pixels) - 1)

    comparison = Comparison.of(cnn, run, 1)
    assert comparison.samples == 1 and comparison.max_error == pytest.approx(1, abs=1e-4)


def test_samples_are_spread_over_the_classes(cnn):
    assert set(spread(cnn.data.test, 4).labels) == {0, 1, 2}
    assert len(spread(cnn.data.test, 1000)) == len(cnn.data.test)


def test_the_threads_are_as_before(cnn):
    before = torch.get_num_threads()
    Comparison.of(cnn, lambda pixels: textbook(cnn, pixels), 2)
    assert torch.get_num_threads() == before
