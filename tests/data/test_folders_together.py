"""New pictures in a folder of their own: they come after the old ones, and change nothing about these."""

import numpy as np
import pytest
from picture_files import random_pixels, save_picture

from distill_cli.data.folder import load
from distill_cli.data.open import open_data
from distill_cli.errors import ConfigError, DataError

SPEC = {"_target_": "distill_cli.data.folder.load", "name": "toy", "size": 8, "validation": 0.2, "test": 0.2}


@pytest.fixture
def root(tmp_path):
    """`old/` with cats and dogs, `new/` with more cats and with birds, which sort before both."""
    for number in range(40):
        save_picture(tmp_path / "old" / "cat" / f"{number}.png", seed=number)
        save_picture(tmp_path / "old" / "dog" / f"{number}.png", seed=100 + number)
    for number in range(20):
        save_picture(tmp_path / "new" / "cat" / f"{number}.png", seed=200 + number)
        save_picture(tmp_path / "new" / "bird" / f"{number}.png", seed=300 + number)
    return tmp_path


def opened(root, path):
    return open_data({**SPEC, "path": path, "mean": None, "std": None}, root)


def test_old_pictures_keep_their_numbers_and_their_parts(root):
    old, both = opened(root, "old"), opened(root, ["old", "new"])
    assert both.classes == ("bird", "cat", "dog")
    for part, split in old.splits.items():
        assert both.splits[part].names[: len(split)].tolist() == split.names.tolist()
        assert both.splits[part].digest(0, len(split)) == split.digest(0, len(split))
        assert len(both.splits[part]) > len(split)
        assert [both.classes[label] for label in both.splits[part].labels[: len(split)]] == [
            old.classes[label] for label in split.labels
        ]


def test_each_picture_is_read_from_its_own_folder(root):
    split = load(root, ["old", "new"], 8).train
    bird = next(number for number, label in enumerate(split.labels) if label == 0)
    number = int(split.path(bird).stem)
    assert split.path(bird) == root / "new" / "bird" / f"{number}.png"
    np.testing.assert_array_equal(split.picture(bird), random_pixels(300 + number).transpose(2, 0, 1))


def test_the_first_folder_may_be_a_link(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "deep" / "old"
    elsewhere.parent.mkdir()
    (root / "old").rename(elsewhere)
    (root / "old").symlink_to(elsewhere)
    data = opened(root, ["old", "new"])
    assert data.train.clean(len(data.train) - 1).shape == (3, 8, 8)


def test_the_second_folder_may_have_a_train_part_alone(root):
    for part in ("train", "test"):
        save_picture(root / "split" / part / "cat" / "a.png", seed=1)
    sets = load(root, ["split", "new"], 8)
    assert (len(sets.train), len(sets.test)) == (41, 1)


def test_a_part_that_the_first_folder_has_not_is_refused(root):
    for part in ("train", "test"):
        save_picture(root / "split" / part / "cat" / "a.png", seed=1)
    with pytest.raises(DataError, match=r"old has no such part as .*split/test; hold the same parts out"):
        load(root, ["old", "split"], 8)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ([], "no folder is named"),
        (["old", ""], "no folder is named"),
        (["old", 3], "no folder is named"),
        (["old", "old"], r"data\.path=\[old,old\] names a folder twice"),
    ],
)
def test_wrong_lists_are_named(root, path, message):
    with pytest.raises(ConfigError, match=message):
        load(root, path, 8)
