from __future__ import annotations

import pickle

import numpy as np
import pytest

from distill_cli.data.arrays import load
from distill_cli.errors import ConfigError, DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (200, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(200) % 4


@pytest.fixture
def write(tmp_path):
    def save(**arrays):
        np.savez_compressed(tmp_path / "pictures.npz", **{"images": IMAGES, "labels": LABELS, **arrays})
        return tmp_path

    return save


@pytest.mark.parametrize(
    "images",
    [IMAGES, IMAGES.transpose(0, 3, 1, 2), np.asfortranarray(IMAGES), IMAGES[..., 0], IMAGES[..., :1]],
    ids=["channels last", "channels first", "Fortran order", "no channels", "one channel"],
)
def test_pictures_may_come_in_any_usual_layout(write, images):
    sets = load(write(images=images), "pictures.npz", test=0.0)
    channels = 1 if images.ndim == 3 or images.shape[-1] == 1 else 3
    assert np.array_equal(sets.train.images, IMAGES.transpose(0, 3, 1, 2)[:, :channels])
    assert sets.train.images.flags.c_contiguous and sets.train.images.flags.writeable


@pytest.mark.parametrize("kind", [np.uint8, np.int16, ">i4", np.uint64])
def test_labels_may_be_of_any_integer_type(write, kind):
    sets = load(write(labels=LABELS.astype(kind)), "pictures.npz")
    assert sets.train.labels.dtype == np.int64
    assert sets.classes == ("0", "1", "2", "3")


def test_what_is_held_out_is_the_file_s_own_where_it_has_it(write):
    root = write(test_images=IMAGES[:7], test_labels=LABELS[:7], val_images=IMAGES[:3], val_labels=LABELS[:3])
    sets = load(root, "pictures.npz")
    assert (len(sets.train), len(sets.validation), len(sets.test)) == (200, 3, 7)


def test_else_a_share_is_held_out_and_keeps_its_members_when_the_set_grows(write):
    whole = load(write(), "pictures.npz", test=0.3)
    assert 30 < len(whole.test) < 90 and len(whole.train) + len(whole.test) == 200
    part = load(write(images=IMAGES[:120], labels=LABELS[:120]), "pictures.npz", test=0.3)
    assert np.array_equal(part.test.images, whole.test.images[: len(part.test)])
    assert np.array_equal(part.train.images, whole.train.images[: len(part.train)])


def test_class_names_are_taken_from_the_file(write):
    sets = load(write(classes=np.array(["ant", "bee", "cow", "dog", "eel"])), "pictures.npz")
    assert sets.classes == ("ant", "bee", "cow", "dog", "eel")


def test_a_label_of_minus_one_is_unknown(write):
    sets = load(write(labels=np.where(LABELS == 2, -1, LABELS)), "pictures.npz", test=0.0)
    assert (sets.train.labels == -1).sum() == 50


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images": IMAGES.astype(np.float32) / 255}, "images must be uint8 from 0 to 255, not float32"),
        ({"images": IMAGES.astype(np.int64)}, "must be uint8"),
        ({"images": IMAGES[..., [0, 1]]}, "C 1 or 3"),
        ({"images": IMAGES[0, 0]}, "C 1 or 3"),
        ({"labels": LABELS[:-1]}, "200 images, but 199 labels"),
        ({"labels": LABELS.astype(float)}, "labels must be a row of integers, not float64"),
        ({"labels": LABELS[:, None]}, "row of integers"),
        ({"labels": LABELS - 2}, "labels has -2"),
        ({"labels": LABELS.astype(np.uint64) + np.uint64(2**63)}, "only -1"),
        ({"labels": LABELS * 10**9}, "name them in classes"),
        ({"labels": LABELS.astype(object)}, "allow_pickle"),
        ({"images": np.array([None] * 200)}, "allow_pickle"),
        ({"classes": np.array(["a", "b", "c"])}, "a label is 3, but there are only 3 classes"),
        ({"classes": np.array([1, 2, 3, 4])}, "classes must be a row of strings"),
        ({"test_images": IMAGES}, "test_images or test_labels without the other"),
        ({"test_images": IMAGES[:, 1:], "test_labels": LABELS}, "differ in shape"),
        ({"val_images": IMAGES[:2], "val_labels": LABELS[:1]}, "2 val_images, but 1 val_labels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(write, wrong, message):
    with pytest.raises(DataError, match=message) as caught:
        load(write(**wrong), "pictures.npz")
    assert "pictures.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_is_unpickled(tmp_path):
    (tmp_path / "pictures.npz").write_bytes(pickle.dumps({"images": IMAGES}))
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path, "pictures.npz")


def test_a_file_that_is_missing_cut_off_or_something_else_is_refused(write, tmp_path):
    with pytest.raises(DataError, match=r"no file .*elsewhere\.npz"):
        load(tmp_path, "elsewhere.npz")
    content = (write() / "pictures.npz").read_bytes()
    for size in range(0, len(content), len(content) // 16):
        (tmp_path / "cut.npz").write_bytes(content[:size])
        with pytest.raises(DataError, match=r"cut\.npz"):
            load(tmp_path, "cut.npz")
    np.save(tmp_path / "single.npy", IMAGES)
    with pytest.raises(DataError, match="single array"):
        load(tmp_path, "single.npy")
    np.savez(tmp_path / "other.npz", x=IMAGES)
    with pytest.raises(DataError, match="no array named images"):
        load(tmp_path, "other.npz")


def test_a_flipped_bit_is_noticed(write):
    path = write() / "pictures.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot read"):
        load(path.parent, "pictures.npz")


def test_the_file_must_be_named(tmp_path):
    with pytest.raises(ConfigError, match=r"set data\.file"):
        load(tmp_path, None)
