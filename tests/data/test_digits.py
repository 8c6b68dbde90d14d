from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from distill_cli.data.digits import load


def test_the_digits_are_all_there(tmp_path):
    sets = load(tmp_path, test=0.25)
    assert len(sets.train) + len(sets.test) == 1797
    assert 400 < len(sets.test) < 500
    assert sets.classes == tuple("0123456789")
    counts = np.bincount(np.concatenate([sets.train.labels, sets.test.labels]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_they_are_scaled_from_16_to_255_and_never_change(tmp_path):
    images = load(tmp_path, test=0.0).train.images
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.uint8
    assert np.unique(images).tolist() == [(level * 255 + 8) // 16 for level in range(17)]
    assert images[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert (
        sha256(images.tobytes()).hexdigest()
        == "b41ca9fd335466eee997366c2e6f6bbe0a1b4582afe091fc4eba35f4a254182f"
    )


def test_they_are_scikit_learn_s():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    ours = load(None, test=0.0).train
    assert np.array_equal(ours.labels, theirs.target)
    assert np.array_equal(np.rint(ours.images[:, 0] / 255 * 16), theirs.images)


def test_a_larger_test_part_contains_the_smaller(tmp_path):
    small, large = (load(tmp_path, test=share).test for share in (0.1, 0.4))
    assert {image.tobytes() for image in small.images} <= {image.tobytes() for image in large.images}
