from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from picture_files import flip_last_byte, random_pixels, save_picture
from PIL import Image

from distill_cli.data import folder
from distill_cli.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path):
    """`pictures/{train,val}/{cat,dog}/`, with six and two pictures a class."""
    for part, count in (("train", 6), ("val", 2)):
        for seed in range(count):
            for offset, name in enumerate(("cat", "dog")):
                save_picture(tmp_path / "pictures" / part / name / f"{seed}.png", seed=10 * seed + offset)
    return tmp_path


def load(root, path="pictures", **others):
    return folder.load(root, path, **{"size": 8, **others})


def test_classes_are_the_folders_and_samples_are_sorted_by_class_and_path(root):
    save_picture(root / "pictures" / "train" / "cat" / "deep" / "er" / "x.JPeG", seed=77)
    sets = load(root)
    assert sets.classes == ("cat", "dog")
    assert sets.train.names.tolist()[5:8] == ["cat/5.png", "cat/deep/er/x.JPeG", "dog/0.png"]
    assert sets.train.labels.tolist() == [0] * 7 + [1] * 6
    assert np.array_equal(sets.train.picture(6), random_pixels(77).transpose(2, 0, 1))


def test_a_lone_val_folder_is_the_test_part(root):
    sets = load(root)
    assert sets.validation is None
    assert len(sets.test) == 4


@pytest.mark.parametrize("name", ["val", "validation"])
def test_with_both_val_and_test_each_keeps_its_role(root, name):
    (root / "pictures" / "val").rename(root / "pictures" / "kept")
    (root / "pictures" / "kept").rename(root / "pictures" / name)
    for seed in range(3):
        save_picture(root / "pictures" / "test" / "dog" / f"{seed}.png", seed=90 + seed)
    sets = load(root)
    assert (len(sets.train), len(sets.validation), len(sets.test)) == (12, 4, 3)
    assert sets.test.labels.tolist() == [1, 1, 1]


def test_class_folders_alone_give_a_share_to_the_test_part(root):
    for seed in range(60):
        save_picture(root / "flat" / "cat" / f"{seed}.png", seed)
        save_picture(root / "flat" / "dog" / f"{seed}.png", seed + 100)
    sets = load(root, "flat", test=0.25)
    assert sets.validation is None
    assert len(sets.train) + len(sets.test) == 120
    assert 15 < len(sets.test) < 45
    assert not set(sets.train.names) & set(sets.test.names)


def test_one_more_picture_moves_no_other_between_the_parts(root):
    for seed in range(40):
        save_picture(root / "flat" / "cat" / f"{seed}.png", seed)
    before = set(load(root, "flat", test=0.5).test.names)
    for seed in range(40):
        save_picture(root / "flat" / "ape" / f"{seed}.png", seed)
    assert {name for name in load(root, "flat", test=0.5).test.names if name.startswith("cat")} == before


def test_train_without_held_out_folders_gives_a_share_too(root):
    shutil.rmtree(root / "pictures" / "val")
    sets = load(root, test=0.5)
    assert 0 < len(sets.test) < 12


def test_held_out_folders_without_train_are_refused(root):
    shutil.rmtree(root / "pictures" / "train")
    with pytest.raises(DataError, match="has val/ but no train/"):
        load(root)


def test_a_class_that_only_the_held_out_part_has_is_refused(root):
    save_picture(root / "pictures" / "val" / "cow" / "0.png")
    with pytest.raises(DataError, match=r"val/cow is a class that has no folder among the training"):
        load(root)


def test_an_empty_class_is_refused(root):
    (root / "pictures" / "train" / "eel").mkdir()
    (root / "pictures" / "train" / "eel" / "notes.txt").write_text("soon")
    with pytest.raises(DataError, match=r"train/eel has no readable picture"):
        load(root)


def test_hidden_files_and_what_macos_leaves_are_passed_over(root):
    train = root / "pictures" / "train"
    for name in (
        "cat/.hidden.png",
        "cat/._0.png",
        ".DS_Store",
        ".ipynb_checkpoints/0.png",
        "__MACOSX/cat/._0.png",
    ):
        (train / name).parent.mkdir(parents=True, exist_ok=True)
        (train / name).write_bytes(b"no picture")
    assert len(load(root, on_error="skip").train) == 12


def test_links_are_followed_but_not_in_circles(root):
    cat = root / "pictures" / "train" / "cat"
    (cat / "up").symlink_to(root / "pictures" / "train" / "cat")
    (cat / "self").symlink_to("self")
    save_picture(root / "elsewhere" / "z.png", seed=5)
    (cat / "there").symlink_to(root / "elsewhere")
    (cat / "single.png").symlink_to(root / "elsewhere" / "z.png")
    names = load(root).train.names.tolist()
    assert [name for name in names if name.startswith("cat")][-2:] == ["cat/single.png", "cat/there/z.png"]
    assert len(names) == 14


def test_a_link_to_nowhere_is_not_passed_over_in_silence(root):
    (root / "pictures" / "train" / "cat" / "x.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match=r"cat/x\.png: No such file"):
        load(root)
    assert [path.name for path in load(root, on_error="skip").skipped] == ["x.png"]


def bad_pictures(folder):
    (folder / "x-empty.jpg").write_bytes(b"")
    (folder / "x-text.jpg").write_text("hello")
    whole = save_picture(folder / "x-cut.png").read_bytes()
    (folder / "x-cut.png").write_bytes(whole[:-100])
    Image.new("1", (10_000, 10_000)).save(folder / "x-huge.png")


def test_bad_pictures_fail_when_they_are_decoded(root):
    bad_pictures(root / "pictures" / "train" / "dog")
    train = load(root).train
    for index, name in enumerate(train.names):
        if "x-" in name:
            with pytest.raises(DataError, match=name):
                train.clean(index)
        else:
            train.clean(index)


def test_skipping_leaves_bad_pictures_out_lists_them_and_changes_the_content(root):
    before = load(root, on_error="skip").train
    dog = root / "pictures" / "train" / "dog"
    bad_pictures(dog)
    (root / "pictures" / "val" / "cat" / "bad.png").write_bytes(b"")
    sets = load(root, on_error="skip")
    assert [path.name for path in sets.skipped] == [
        "x-cut.png",
        "x-empty.jpg",
        "x-huge.png",
        "x-text.jpg",
        "bad.png",
    ]
    assert sets.skipped[0] == dog / "x-cut.png"
    assert sets.train.names.tolist() == before.names.tolist()
    (dog / "0.png").write_bytes(b"")
    fewer = load(root, on_error="skip").train
    assert fewer.digest(0, len(fewer)) != before.digest(0, len(before))


def test_a_class_of_which_every_picture_is_skipped_is_refused(root):
    for path in (root / "pictures" / "train" / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"train/dog has no readable picture"):
        load(root, on_error="skip")


def test_the_digest_changes_with_one_bit_of_one_picture_and_with_an_exchange(root):
    def digest():
        train = load(root).train
        return train.digest(0, len(train))

    train = root / "pictures" / "train"
    seen = {digest()}
    flip_last_byte(train / "cat" / "3.png")
    seen.add(digest())
    (train / "cat" / "0.png").rename(train / "x")
    (train / "cat" / "1.png").rename(train / "cat" / "0.png")
    (train / "x").rename(train / "cat" / "1.png")
    assert len(seen | {digest()}) == 3


def test_renaming_a_folder_above_changes_nothing(root):
    before = load(root)
    (root / "pictures").rename(root / "with space ü")
    after = load(root, "with space ü")
    assert after.train.digest(0, 12) == before.train.digest(0, 12)
    assert np.array_equal(after.train.keys, before.train.keys)


def test_an_index_gives_the_same_split_as_reading_everything(root):
    plain = load(root, on_error="skip")
    for _ in range(2):
        cached = load(root, on_error="skip", cache=root / "cache")
        assert cached.train.digest(0, 12) == plain.train.digest(0, 12)


def test_the_path_may_be_absolute_or_relative_to_where_one_stands(root, monkeypatch):
    assert len(load(root / "elsewhere", str(root / "pictures")).train) == 12
    monkeypatch.chdir(root)
    assert len(load(folder.Path("."), "pictures").train) == 12


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"path": None}, "set data.path=FOLDER"),
        ({"on_error": "ignore"}, "data.on_error=ignore must be fail or skip"),
        ({"channels": 4}, "data.channels=4"),
        ({"size": 0}, "data.size=0"),
        ({"size": "large"}, "data.size=large"),
        ({"max_pixels": -1}, "data.max_pixels=-1"),
    ],
)
def test_wrong_settings_are_named(root, wrong, message):
    with pytest.raises(ConfigError, match=message):
        load(root, **wrong)


def test_a_share_that_makes_no_sense_is_named(root):
    shutil.rmtree(root / "pictures" / "val")
    with pytest.raises(ConfigError, match=r"data\.test=1 must be a number from 0 to 0\.9"):
        load(root, test=1)


def test_a_missing_folder_says_what_to_set(root):
    with pytest.raises(DataError, match=r"no folder .*nowhere.*paths\.data"):
        load(root, "nowhere")
    (root / "bare").mkdir()
    with pytest.raises(DataError, match="bare has no class folders"):
        load(root, "bare")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_picture_one_may_not_read_is_named(root):
    (root / "pictures" / "train" / "cat" / "0.png").chmod(0)
    with pytest.raises(DataError, match=r"cat/0\.png: Permission denied"):
        load(root)


def test_the_flower_photos_are_read(real_data):
    sets = folder.load(real_data, "flowers", size=128)
    assert sets.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert len(sets.train) + len(sets.test) == 3670
    assert sets.train.clean(0).shape == (3, 128, 128)
