"""Every byte is read, and damage is named with what a rerun would do about it."""

import json
import os
import shutil

import numpy as np
import pytest
from shop import SAMPLES, Shop, flip, shards

from distill_cli.artifacts.files import read_sealed_json, write_sealed_json
from distill_cli.artifacts.store import Place
from distill_cli.cache.documents import LABELS_FORMAT
from distill_cli.cache.extent import slots
from distill_cli.data.splits import ArraySplit, DataSet
from distill_cli.soft_labels.label_set import LabelSet
from distill_cli.soft_labels.shards import FORMAT, Shard

AGAIN, NOT_AGAIN = "a rerun makes it again", "a rerun does not make it again by itself"
FIRST, SECOND = "train/view-000/block-00000", "train/view-000/block-00001"


def test_whole_artefacts_are_as_written(shop, chain):
    ended = shop.look_after("verify")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout == "4 artefacts read, 23 files as written\n"  # 16 of shards, 3 weights, 4 documents


def test_a_flipped_bit_in_any_file_that_is_covered_is_found(shop, chain):
    covered = [name for name in shop.contents() if not name.endswith("build.json")]
    for name in covered:
        good = (shop.root / name).read_bytes()
        flip(shop.root / name)
        ended = shop.look_after("verify")
        assert ended.exit_code == 4, name
        assert name in ended.stdout
        assert ended.stderr.count("\n") == 1 and ended.stderr.startswith("distill: error: ")
        (shop.root / name).write_bytes(good)
    assert len(covered) == 23
    assert shop.look_after("verify").exit_code == 0


def swap(one, other):
    for ending in (".npy", ".json"):
        here, there = one.with_name(one.name + ending), other.with_name(other.name + ending)
        content = here.read_bytes()
        here.write_bytes(there.read_bytes())
        there.write_bytes(content)


DAMAGE = {
    "cut": (lambda d: os.truncate(d / f"{FIRST}.npy", 9), "has 9 bytes, its seal says", AGAIN),
    "rows gone": (lambda d: (d / f"{FIRST}.npy").unlink(), "is missing, its seal is there", AGAIN),
    "seal broken": (lambda d: flip(d / f"{FIRST}.json"), "block-00000.json is corrupt", AGAIN),
    "seal empty": (lambda d: (d / f"{FIRST}.json").write_text("{}"), "block-00000.json is corrupt", AGAIN),
    "bytes": (lambda d: flip(d / f"{FIRST}.npy"), "is corrupt: its sha256 differs", NOT_AGAIN),
    "blocks swapped": (
        lambda d: swap(d / FIRST, d / SECOND),
        "is another shard's: logits of train samples 8 to 16",
        AGAIN,
    ),
    "views swapped": (
        lambda d: swap(d / FIRST, d / "train/view-001/block-00000"),
        "train samples 0 to 8, in view 1, not logits of train samples 0 to 8, in view 0",
        AGAIN,
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_to_a_shard_says_what_differs_and_whether_a_rerun_mends_it(shop, chain, kind):
    damage, complaint, rerun = DAMAGE[kind]
    _, labels, _, _ = chain
    damage(labels.directory)
    ended = shop.look_after("verify")
    (line, *_) = ended.stdout.splitlines()
    assert ended.exit_code == 4
    shard = Shard(labels.directory / f"{FIRST}.npy", labels.key, "train", "logits", 0, 0, 8, "train-0")
    assert shard.is_sealed() == (rerun == NOT_AGAIN)  # what gen-soft-labels itself asks
    assert line.startswith(f"damaged: soft_labels/{labels.name}/train/view-000/block-00000.")
    assert complaint in line and line.endswith(rerun)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": 3},
        {"shape": []},
        {"view": None},
        {"start": "0"},
        {"bytes": None},
        {"sha256": 3},
        {"labels": []},
        {"format": 99},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_seal_with_a_good_digest_and_impossible_values_is_damage(shop, chain, change):
    _, labels, _, _ = chain
    path = labels.directory / f"{FIRST}.json"
    write_sealed_json(path, {**read_sealed_json(path), **change})
    ended = shop.look_after("verify")
    assert ended.exit_code == 4
    assert ended.stdout.startswith("damaged: ") and FIRST in ended.stdout


def test_a_shard_of_another_set_is_damage(shop, chain):
    _, labels, _, _ = chain
    other = shop.labels(shop.teacher(seed=1))
    for ending in (".npy", ".json"):
        shutil.copy(other.directory / f"{FIRST}{ending}", labels.directory / f"{FIRST}{ending}")
    ended = shop.look_after("verify", labels.name)
    assert ended.exit_code == 4
    assert "belongs to other soft labels" in ended.stdout


@pytest.mark.parametrize("test", [5, 7])
def test_held_out_shards_that_are_swapped_are_damage(shop, test):
    labels = shop.labels(shop.teacher(), samples={"train": 8, "validation": 5, "test": test})
    swap(labels.directory / "validation/clean/block-00000", labels.directory / "test/clean/block-00000")
    said = shop.look_after("verify").stdout
    assert (
        f"logits of test samples 0 to {test}, clean, not logits of validation samples 0 to 5, clean" in said
    )


def test_logits_and_embeddings_that_are_swapped_are_damage(shop):
    labels = shop.labels(shop.teacher(), parts=("logits", "embedding"))
    swap(labels.directory / FIRST, labels.directory / f"{FIRST}.embedding")
    assert "is another shard's: embedding of train samples 0 to 8" in shop.look_after("verify").stdout


def test_shards_that_are_still_to_be_made_are_no_damage_and_are_listed(shop, chain):
    _, labels, _, _ = chain
    for number in (0, 1):
        (labels.directory / f"train/view-001/block-0000{number}.json").unlink()
    ended = shop.look_after("verify")
    assert ended.exit_code == 0
    assert (
        f"not made: soft_labels/{labels.name}/train/view-001, block-00000.npy to block-00001.npy"
        in ended.stdout
    )


def test_the_last_block_of_a_set_that_grew_is_to_be_made_again_and_no_damage(shop, chain):
    _, labels, _, _ = chain
    samples = {**SAMPLES, "train": 23}
    shop.write_extent(labels, {"views": {"logits": 2}, "block": 8, "samples": samples})
    ended = shop.look_after("verify")
    assert ended.exit_code == 0
    assert ended.stdout.count("not made: ") == 2
    assert "train/view-000, block-00002.npy;" in ended.stdout


def test_embeddings_are_verified_too(shop):
    labels = shop.labels(shop.teacher(), parts=("logits", "embedding"))
    assert shop.look_after("verify").exit_code == 0
    flip(labels.directory / "train/view-001/block-00001.embedding.npy")
    assert "block-00001.embedding.npy is corrupt" in shop.look_after("verify").stdout


def test_a_working_directory_is_no_damage(shop):
    place = shop.unfinished(shop.place("students", "mlp", seed=1))
    ended = shop.look_after("verify")
    assert ended.exit_code == 0
    assert ended.stdout.startswith(f"unfinished: students/{place.work.name}; ")


def test_files_nobody_reads_are_named_and_no_damage(shop, chain):
    teacher, labels, _, _ = chain
    (teacher.directory / "notes.txt").write_text("mine")
    (labels.directory / "train/view-007").mkdir()
    (labels.directory / "train/view-007/block-00000.npy").write_bytes(b"")
    ended = shop.look_after("verify")
    assert ended.exit_code == 0
    assert f"unknown: teachers/{teacher.name}/notes.txt" in ended.stdout
    assert f"unknown: soft_labels/{labels.name}/train/view-007/block-00000.npy" in ended.stdout


def test_an_artefact_under_another_name_is_damage(shop, chain):
    teacher, _, _, _ = chain
    teacher.directory.rename(teacher.directory.with_name("cnn-digits-000000000000"))
    ended = shop.look_after("verify", "teachers/cnn-digits-000000000000")
    assert ended.exit_code == 4
    assert f"belongs to another artefact: its key begins with {teacher.key[:12]}" in ended.stdout


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../../x": {"bytes": 1, "sha256": ""}}},
        {"files": ["model.safetensors"]},
        {"files": {"model.safetensors": {"bytes": "many"}}},
        {"kind": "students"},
        {"identity": "digits"},
        {"identity": {"stage": "other"}},
        {"key": None},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_a_manifest_with_a_good_digest_and_impossible_content_is_damage(shop, change):
    teacher = shop.teacher()
    path = teacher.directory / "artifact.json"
    write_sealed_json(path, {**read_sealed_json(path), **change})
    ended = shop.look_after("verify")
    assert ended.exit_code == 4
    assert "artifact.json " in ended.stdout


@pytest.mark.parametrize(
    "extent",
    [
        None,
        {},
        {"views": {"logits": 2}, "block": 0, "samples": SAMPLES},
        {"views": {"logits": -1}, "block": 8, "samples": SAMPLES},
        {"views": {"logits": 10**15}, "block": 1, "samples": SAMPLES},
        {"views": {"../x": 2}, "block": 8, "samples": SAMPLES},
        {"views": {"logits": 2}, "block": 8, "samples": {"train": "all"}},
    ],
)
def test_an_impossible_extent_is_damage(shop, chain, extent):
    _, labels, _, _ = chain
    shop.write_extent(labels, extent)
    ended = shop.look_after("verify", "soft_labels/*")
    assert ended.exit_code == 4
    assert "labels.json is not what distill-cli writes" in ended.stdout


def test_what_is_damaged_is_removed_and_nothing_else(shop, chain):
    _, labels, student, _ = chain
    before = shop.contents()
    flip(labels.directory / f"{FIRST}.npy")
    flip(student.directory / "model.safetensors")
    ended = shop.look_after("verify", "--remove-damaged")
    assert ended.exit_code == 0
    assert "distill gen-soft-labels and distill distill" in ended.stdout
    gone = before.keys() - shop.contents().keys()
    own = f"soft_labels/{labels.name}/{FIRST}"
    assert gone == {f"{own}.npy", f"{own}.json", *(n for n in before if n.startswith("students/"))}
    assert shop.look_after("verify").exit_code == 0


def test_what_is_being_built_is_not_removed(shop, chain):
    _, labels, _, _ = chain
    flip(labels.directory / f"{FIRST}.npy")
    before = shop.contents()
    with labels.locked():
        ended = shop.look_after("verify", "--remove-damaged")
    assert ended.exit_code == 4
    assert f"soft_labels/{labels.name} is being built now" in ended.stderr
    assert shop.contents() == before


def test_only_the_named_ones_are_read(shop, chain):
    teacher, labels, _, _ = chain
    flip(labels.directory / f"{FIRST}.npy")
    assert shop.look_after("verify", teacher.name).exit_code == 0
    assert shop.look_after("verify", teacher.name, labels.name).exit_code == 4


def test_a_root_that_is_not_there_has_not_been_verified(shop):
    ended = shop.look_after("verify")
    assert ended.exit_code == 4
    assert f"there is no directory {shop.root}" in ended.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_the_right_to_read_it_is_no_damage(shop, chain):
    _, labels, _, _ = chain
    (labels.directory / f"{FIRST}.npy").chmod(0)
    ended = shop.look_after("verify", "--remove-damaged")
    assert ended.exit_code == 6
    assert "block-00000.npy cannot be read: Permission denied" in ended.stdout


@pytest.mark.parametrize("parts", [("logits",), ("logits", "embedding")])
@pytest.mark.parametrize("samples", [(20, 5, 7), (16, 0, 0), (1, 1, 8)])
def test_the_shards_of_an_extent_are_those_of_the_set_itself(tmp_path, parts, samples):
    splits = [
        ArraySplit(np.zeros((count, 1, 2, 2), np.uint8), np.zeros(count, np.int64)) for count in samples
    ]
    data = DataSet("toy", ("a", "b"), (0.5,), (0.25,), (1, 2, 2), *splits)
    place = Place(tmp_path, "soft_labels", "toy", {})
    labels = LabelSet(place, data, views=3, block=8, mixes=False, parts=parts)
    labels.write_identity()
    extent = read_sealed_json(place.directory / "labels.json")["extent"]
    ours = {
        (place.directory / slot.name, slot.split, slot.part, slot.view, slot.start, slot.stop)
        for slot in slots(extent)
    }
    assert ours == {
        (shard.path, shard.split, shard.part, shard.view, shard.start, shard.stop)
        for shard in labels.shards()
    }
    assert {path for path, *_ in ours} == {shard.path for shard, _ in shards(place, extent)}
    assert LABELS_FORMAT == FORMAT


def test_a_shop_makes_what_a_run_makes(shop: Shop, chain):
    """The store of these tests is whole in the eyes of the code that reads it."""
    for place in chain:
        assert place.kind == "soft_labels" or place.is_complete()
