from __future__ import annotations

import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from picture_files import flip_last_byte, save_picture

from distill_cli.data.digits import load as load_digits
from distill_cli.data.open import fingerprint, open_data
from distill_cli.data.splits import ArraySplit, RawSets
from distill_cli.errors import ConfigError, DataError
from distill_cli.runtime.shared import shared

DIGITS = {"name": "digits", "_target_": "distill_cli.data.digits.load"}
ARRAYS = {"name": "mine", "_target_": "distill_cli.data.arrays.load", "file": "mine.npz"}
FOLDER = {"name": "pictures", "_target_": "distill_cli.data.folder.load", "path": "pictures", "size": 8}


def write_arrays(root, samples=200, **more):
    images = np.random.default_rng(0).integers(0, 256, (1000, 5, 4, 3), dtype=np.uint8)[:samples]
    np.savez(root / "mine.npz", images=images, labels=np.arange(samples) % 4, **more)
    return images


def write_pictures(root, count=20):
    for seed in range(count):
        save_picture(root / "pictures" / "train" / "ab"[seed % 2] / f"{seed}.png", seed)
        save_picture(root / "pictures" / "test" / "ab"[seed % 2] / f"{seed}.png", seed + 1000)


def source_without(root, part):
    """A data source whose train or test part is empty, or that has no test part at all."""
    empty = ArraySplit(np.empty((0, 1, 2, 2), np.uint8), np.empty(0, np.int64))
    full = ArraySplit(np.zeros((3, 1, 2, 2), np.uint8), np.zeros(3, np.int64))
    return RawSets(
        ("a",), empty if part == "train" else full, test={"test": empty, "any": None}.get(part, full)
    )


def no_source(root):
    return 42


def test_the_digits_open_with_nothing_but_their_name(tmp_path):
    data = open_data(DIGITS, tmp_path)
    assert data.name == "digits" and len(data.classes) == 10
    assert data.image_shape == (1, 8, 8)
    assert len(data.validation) == 0 and len(data.train) + len(data.test) == 1797


def test_validation_is_held_out_of_train_only(tmp_path):
    whole = load_digits(tmp_path)
    data = open_data({**DIGITS, "validation": 0.2}, tmp_path)
    assert len(data.train) + len(data.validation) == len(whole.train)
    assert 200 < len(data.validation) < 340
    assert np.array_equal(data.test.images, whole.test.images)


def test_validation_of_the_source_s_own_is_left_alone(tmp_path):
    images = write_arrays(tmp_path)
    write_arrays(tmp_path, val_images=images[:9], val_labels=np.zeros(9, int))
    data = open_data({**ARRAYS, "validation": 0.5, "test": 0.1}, tmp_path)
    assert len(data.validation) == 9
    assert len(data.train) + len(data.test) == 200


def test_the_first_samples_keep_part_and_label_when_a_set_grows(tmp_path):
    spec = {**ARRAYS, "validation": 0.2, "labeled_fraction": 0.5, "test": 0.2}
    write_arrays(tmp_path, 300)
    before = open_data(spec, tmp_path)
    write_arrays(tmp_path, 1000)
    after = open_data(spec, tmp_path)
    for part, split in before.splits.items():
        assert 20 < len(split) < len(after.splits[part])
        assert np.array_equal(after.splits[part].images[: len(split)], split.images)
        assert np.array_equal(after.splits[part].labels[: len(split)], split.labels)


def test_a_picture_keeps_its_part_and_label_whatever_is_added(tmp_path):
    write_pictures(tmp_path, 40)
    spec = {**FOLDER, "validation": 0.5, "labeled_fraction": 0.5}
    before = open_data(spec, tmp_path)
    for seed in range(30):
        save_picture(tmp_path / "pictures" / "train" / "a" / f"0-{seed}.png", 500 + seed)
    after = open_data(spec, tmp_path)
    assert set(before.validation.names) <= set(after.validation.names)
    labels = [dict(zip(data.train.names, data.train.labels, strict=True)) for data in (before, after)]
    assert labels[0].items() <= labels[1].items()


def test_a_share_of_train_keeps_its_labels_and_the_larger_share_contains_the_smaller(tmp_path):
    full, half, tenth = (
        open_data({**DIGITS, "validation": 0.1, "labeled_fraction": share}, tmp_path)
        for share in (1, 0.5, 0.1)
    )
    for data, share in ((half, 0.5), (tenth, 0.1)):
        known = data.train.labels != -1
        assert abs(known.mean() - share) < 0.05
        assert np.array_equal(data.train.labels[known], full.train.labels[known])
        assert (data.test.labels >= 0).all() and (data.validation.labels >= 0).all()
        assert np.array_equal(data.train.images, full.train.images)
    assert not ((tenth.train.labels != -1) & (half.train.labels == -1)).any()


def test_mean_and_std_are_computed_from_the_train_part(tmp_path):
    write_arrays(tmp_path)
    data = open_data({**ARRAYS, "validation": 0.3}, tmp_path)
    pixels = data.train.images.astype(np.float64) / 255
    assert np.allclose(data.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    assert np.allclose(data.std, pixels.std(axis=(0, 2, 3)), rtol=1e-12)


def test_mean_and_std_of_picture_files_are_those_of_the_clean_pictures(tmp_path):
    write_pictures(tmp_path)
    data = open_data(FOLDER, tmp_path)
    pixels = np.stack([data.train.clean(i) for i in range(len(data.train))]) / 255
    assert np.allclose(data.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    assert np.allclose(data.std, pixels.std(axis=(0, 2, 3)), rtol=1e-12)


def test_a_channel_without_contrast_is_not_divided_by_zero(tmp_path):
    np.savez(tmp_path / "mine.npz", images=np.full((20, 2, 2), 255, np.uint8), labels=np.zeros(20, int))
    data = open_data({**ARRAYS, "test": 0.5}, tmp_path)
    assert (data.mean, data.std) == ((1.0,), (1.0,))


def test_given_mean_and_std_are_taken_as_they_are(tmp_path):
    data = open_data({**DIGITS, "mean": [0.25], "std": None}, tmp_path)
    assert data.mean == (0.25,) and 0.3 < data.std[0] < 0.5
    assert open_data({**DIGITS, "mean": [0], "std": [1]}, tmp_path).std == (1.0,)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"validation": 0.95}, r"data\.validation=0\.95 must be a number from 0 to 0\.9"),
        ({"validation": "much"}, r"data\.validation=much"),
        ({"labeled_fraction": 0}, r"data\.labeled_fraction=0 must be above 0"),
        ({"labeled_fraction": 1.1}, r"data\.labeled_fraction=1\.1"),
        ({"mean": [0.1, 0.2]}, r"data\.mean=\[0\.1, 0\.2\] has 2 numbers, but the pictures have 1 channel"),
        ({"mean": ["a"]}, r"data\.mean=\['a'\] must be a list of numbers"),
        ({"mean": [float("nan")]}, r"data\.mean"),
        ({"std": [0]}, r"data\.std=\[0\] must be above 0"),
        ({"test": 1.5}, r"data\.test=1\.5"),
        ({"name": None}, r"data\.name is missing"),
        ({"sise": 3}, "unexpected keyword argument 'sise'"),
        ({"_target_": "distill_cli.data.digits.lode"}, "has no 'lode'"),
        ({"_target_": "test_open.no_source"}, "no data source"),
    ],
)
def test_wrong_settings_are_named_in_one_line(tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message) as caught:
        open_data({**DIGITS, **wrong}, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["train", "test", "any"])
def test_nothing_to_train_or_to_test_on_is_refused(tmp_path, part):
    spec = {"name": "none", "_target_": "test_open.source_without", "part": part}
    missing = "train" if part == "train" else "test"
    with pytest.raises(DataError, match=f"data=none has no samples in its {missing} part"):
        open_data(spec, tmp_path)


def test_the_cache_goes_to_the_sources_that_take_it(tmp_path, monkeypatch):
    monkeypatch.setattr("distill_cli.data.file_index.SETTLED", -(10**18))  # remember fresh files too
    write_pictures(tmp_path)
    open_data(DIGITS, tmp_path, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    open_data(FOLDER, tmp_path, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_skipped_pictures_are_handed_on(tmp_path):
    write_pictures(tmp_path)
    (tmp_path / "pictures" / "train" / "a" / "bad.png").write_bytes(b"")
    assert [path.name for path in open_data({**FOLDER, "on_error": "skip"}, tmp_path).skipped] == ["bad.png"]


def changes(one, other):
    return {key for key in one if one[key] != other[key]}


def test_the_fingerprint_repeats(tmp_path):
    write_pictures(tmp_path)
    for spec in (DIGITS, FOLDER):
        assert fingerprint(open_data(spec, tmp_path)) == fingerprint(open_data(spec, tmp_path))


def test_the_fingerprint_tells_what_has_changed(tmp_path):
    write_pictures(tmp_path)
    train = tmp_path / "pictures" / "train"
    before = fingerprint(open_data(FOLDER, tmp_path))
    flip_last_byte(train / "a" / "0.png")
    one_bit = fingerprint(open_data(FOLDER, tmp_path))
    assert changes(before, one_bit) == {"train"}
    (train / "a" / "0.png").rename(train / "b" / "0.png")
    assert "labels" in changes(one_bit, fingerprint(open_data(FOLDER, tmp_path)))


def test_the_fingerprint_tells_class_names_and_their_order(tmp_path):
    write_pictures(tmp_path)
    before = fingerprint(open_data(FOLDER, tmp_path))
    for part in ("train", "test"):
        (tmp_path / "pictures" / part / "b").rename(tmp_path / "pictures" / part / "z")
    assert changes(before, fingerprint(open_data(FOLDER, tmp_path))) == {"classes"}
    for part in ("train", "test"):
        (tmp_path / "pictures" / part / "z").rename(tmp_path / "pictures" / part / "Z")
    assert changes(before, fingerprint(open_data(FOLDER, tmp_path))) == {"classes", "train", "test"}


def test_hidden_labels_change_only_the_fingerprint_of_labels(tmp_path):
    full, half = (
        fingerprint(open_data({**DIGITS, "labeled_fraction": share}, tmp_path)) for share in (1, 0.5)
    )
    assert changes(full, half) == {"labels"}


def test_where_a_data_set_lies_is_not_in_its_fingerprint(tmp_path):
    write_pictures(tmp_path)
    before = fingerprint(open_data(FOLDER, tmp_path))
    shutil.move(tmp_path / "pictures", tmp_path / "moved")
    assert fingerprint(open_data({**FOLDER, "path": "moved"}, tmp_path)) == before


def test_neither_torch_nor_pillow_is_imported_to_open_a_data_set(tmp_path):
    write_pictures(tmp_path)
    write_arrays(tmp_path)
    specs = [DIGITS, ARRAYS, {**FOLDER, "mean": [0, 0, 0], "std": [1, 1, 1]}]
    program = f"""
import sys
from pathlib import Path
from distill_cli.data.open import fingerprint, open_data
import distill_cli.data.torchvision_sets
for spec in {specs}:
    fingerprint(open_data(spec, Path({str(tmp_path)!r}), Path({str(tmp_path / "cache")!r})))
print([name for name in ("torch", "torchvision", "PIL", "hydra", "omegaconf") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_jobs_of_a_sweep_get_the_very_data_set_that_the_first_one_read(tmp_path):
    write_arrays(tmp_path)
    with shared.during(job_of_sweep=True):
        first = open_data(ARRAYS, tmp_path)
        before = fingerprint(first)
        write_arrays(tmp_path, samples=100)
    with shared.during(job_of_sweep=True):
        second, other = open_data(dict(ARRAYS), tmp_path), open_data({**ARRAYS, "validation": 0.5}, tmp_path)
        assert second is first and fingerprint(second) == before
        assert len(other.validation) and other is not first
    shared.release()
    assert len(open_data(ARRAYS, tmp_path).train) < len(first.train)


def test_what_happened_to_a_folder_is_seen_by_the_next_job(tmp_path):
    write_pictures(tmp_path)
    with shared.during(job_of_sweep=True):
        before = len(open_data(FOLDER, tmp_path).train)
        save_picture(tmp_path / "pictures" / "train" / "a" / "one_more.png", 5)
        assert len(open_data(FOLDER, tmp_path).train) == before + 1


def test_pictures_are_hashed_once_for_all_keys(tmp_path, monkeypatch):
    data, hashed = open_data(DIGITS, tmp_path), []
    digest = ArraySplit._digest
    monkeypatch.setattr(ArraySplit, "_digest", lambda *which: hashed.append(which) or digest(*which))
    assert fingerprint(data) == fingerprint(data)
    assert data.train.digest(0, 8) == data.train.digest(0, 8) != data.train.digest(0, 9)
    assert len(hashed) == 3 + 2


def peak_of(opened) -> float:
    """Most memory at a time while a data set is read, and its keys computed, in its own bytes."""
    tracemalloc.start()
    try:
        data = opened()
        fingerprint(data)
        return tracemalloc.get_traced_memory()[1] / sum(split.bytes for split in data.splits.values())
    finally:
        tracemalloc.stop()


def test_reading_arrays_takes_no_more_than_twice_their_memory(tmp_path):
    images = np.zeros((20_000, 16, 16, 3), np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(20_000) % 4)
    held_out = {"validation": 0.1, "mean": [0.5] * 3, "std": [0.5] * 3}
    assert peak_of(lambda: open_data({**ARRAYS, **held_out}, tmp_path)) < 2.1


@pytest.mark.parametrize("name", ["mnist", "cifar100"])
def test_reading_a_published_set_takes_no_more_than_twice_its_memory(real_data, name):
    spec = {"name": name, "_target_": f"distill_cli.data.torchvision_sets.{name}", "validation": 0.1}
    assert peak_of(lambda: open_data(spec, real_data)) < 2.1
