"""Soft labels on disk: found by index, sealed, and refused when anything about them is wrong."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from distill_cli.artifacts.store import Place
from distill_cli.data.loader import Loader
from distill_cli.data.splits import ArraySplit, DataSet
from distill_cli.data.views.clean import CLEAN
from distill_cli.data.views.views import open_views
from distill_cli.errors import ArtifactError, TrainingDiverged
from distill_cli.runtime.device import resolve
from distill_cli.soft_labels.encodings import Dense
from distill_cli.soft_labels.label_set import LabelSet
from distill_cli.soft_labels.reader import LabelReader
from distill_cli.soft_labels.writer import Labeller

CPU = resolve("cpu", "fp32", "false")
CLASSES = ("a", "b", "c")
BLOCK = 8


def split(samples: int, seed: int) -> ArraySplit:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (samples, 1, 6, 6), dtype=np.uint8)
    return ArraySplit(images, np.arange(samples) % 3)


def data(samples: int = 20) -> DataSet:
    whole = split(40, 0)
    train = whole.take(np.arange(samples))
    return DataSet("toy", CLASSES, (0.5,), (0.25,), (1, 6, 6), train, split(5, 1), split(7, 2))


def views(mixing=None):
    recipe = {"_target_": "distill_cli.data.views.recipes.Shift", "pixels": 1}
    return open_views({**recipe, "seed": 0, "count": None, "mixing": mixing}, (6, 6))


def label_set(tmp_path, count: int = 2, of: DataSet | None = None, teacher: str = "t0", mixes: bool = False):
    place = Place(tmp_path, "soft_labels", "teacher-shift", {"teacher": teacher})
    return LabelSet(place, of or data(), views=count, block=BLOCK, mixes=mixes)


class Teacher(nn.Module):
    """Counts the samples it has seen."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale, self.seen = scale, 0

    def forward(self, inputs):
        self.seen += len(inputs)
        return self.scale * inputs[:, 0, 1:4, 2]


def write(labels: LabelSet, teacher: Teacher, encoding=None, batch_size: int = 3, mixing=None) -> None:
    labels.write_identity()
    labeller = Labeller(teacher.eval(), encoding or Dense("float32"), CPU, batch_size, lambda done: None)
    missing = {shard.path for shard in labels.missing()}
    loader = Loader(labels.data.train, labels.data, CPU.device, views(mixing))
    labeller.write([s for s in labels.train() if s.path in missing], loader)
    for name in ("validation", "test"):
        clean = Loader(labels.data.splits[name], labels.data, CPU.device)
        held_out = [s for s in labels.held_out() if s.path in missing and f"/{name}/" in str(s.path)]
        labeller.write(held_out, clean)


def reader(labels: LabelSet, encoding=None) -> LabelReader:
    return LabelReader(labels, encoding or Dense("float32"), CPU.device, resident_bytes=1e9)


def test_a_row_is_found_by_view_and_sample_whatever_the_order(tmp_path):
    labels, teacher = label_set(tmp_path), Teacher()
    write(labels, teacher)
    rows = reader(labels)
    source = Loader(labels.data.train, labels.data, CPU.device, views())
    index = np.random.default_rng(0).permutation(20)
    view = index % 2
    for batch in source.view(index, view, 7):
        assert torch.equal(rows.logits(batch.index, batch.view), teacher(batch.inputs))


def test_clean_validation_and_test_samples_are_labelled_too(tmp_path):
    labels, teacher = label_set(tmp_path), Teacher()
    write(labels, teacher)
    (shard,) = [shard for shard in labels.held_out() if "test" in shard.path.parts]
    assert shard.view == CLEAN and shard.path.parent.name == "clean"
    (batch,) = Loader(labels.data.test, labels.data, CPU.device).clean(7)
    np.testing.assert_array_equal(np.load(shard.path), teacher(batch.inputs).numpy())


def test_files_lie_where_format_1_says(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    names = sorted(
        str(path.relative_to(labels.place.directory)) for path in labels.place.directory.rglob("*.npy")
    )
    blocks = [f"train/view-{view:03d}/block-{block:05d}.npy" for view in range(2) for block in range(3)]
    assert names == sorted([*blocks, "validation/clean/block-00000.npy", "test/clean/block-00000.npy"])
    assert np.load(labels.place.directory / "train/view-001/block-00002.npy").shape == (4, 3)


def test_more_views_compute_only_the_new_ones(tmp_path):
    write(label_set(tmp_path, count=2), Teacher())
    teacher = Teacher()
    write(label_set(tmp_path, count=5), teacher)
    assert teacher.seen == 3 * 20


def test_fewer_views_are_complete_already(tmp_path):
    write(label_set(tmp_path, count=3), Teacher())
    assert label_set(tmp_path, count=1).is_complete()


def test_more_samples_compute_only_the_blocks_that_changed(tmp_path):
    write(label_set(tmp_path, of=data(20)), Teacher())
    teacher = Teacher()
    write(label_set(tmp_path, of=data(30)), teacher)
    assert teacher.seen == 2 * (30 - 16)  # blocks 0 and 1 stay, block 2 grows, block 3 is new


def test_one_changed_picture_recomputes_its_block_in_every_view(tmp_path):
    write(label_set(tmp_path), Teacher())
    changed = data()
    images = changed.train.images.copy()
    images[9, 0, 0, 0] ^= 1
    changed = replace(changed, train=ArraySplit(images, changed.train.labels))
    teacher = Teacher()
    write(label_set(tmp_path, of=changed), teacher)
    assert teacher.seen == 2 * BLOCK


def test_two_swapped_pictures_are_noticed(tmp_path):
    write(label_set(tmp_path), Teacher())
    order = np.arange(20)
    order[[0, 1]] = [1, 0]
    swapped = replace(data(), train=data().train.take(order))
    assert not label_set(tmp_path, of=swapped).is_complete()


def test_changed_hard_labels_do_not_invalidate_soft_labels(tmp_path):
    write(label_set(tmp_path), Teacher())
    relabelled = replace(data(), train=data().train.relabel(np.zeros(20, np.int64)))
    assert label_set(tmp_path, of=relabelled).is_complete()


def test_with_mixing_any_changed_picture_recomputes_every_block_of_train(tmp_path):
    mixing = {"_target_": "distill_cli.data.views.mixing.Mixup"}
    write(label_set(tmp_path, mixes=True), Teacher(), mixing=mixing)
    grown, teacher = label_set(tmp_path, of=data(30), mixes=True), Teacher()
    write(grown, teacher, mixing=mixing)
    assert teacher.seen == 2 * 30


def test_the_bytes_do_not_depend_on_where_a_run_was_cut(tmp_path):
    whole, cut = label_set(tmp_path / "whole"), label_set(tmp_path / "cut")
    write(whole, Teacher())
    write(cut, Teacher())
    victims = [shard for number, shard in enumerate(cut.shards()) if number % 2]
    for shard in victims:
        shard.seal_path.unlink()
    write(cut, Teacher())
    for ours, theirs in zip(whole.shards(), cut.shards(), strict=True):
        assert ours.path.read_bytes() == theirs.path.read_bytes()
        assert ours.seal_path.read_bytes() == theirs.seal_path.read_bytes()


def test_float16_rounds_and_float32_does_not(tmp_path):
    exact, half = label_set(tmp_path / "32"), label_set(tmp_path / "16")
    write(exact, Teacher())
    write(half, Teacher(), Dense("float16"))
    index, view = torch.arange(20), torch.zeros(20, dtype=torch.long)
    ours, theirs = reader(exact).logits(index, view), reader(half, Dense("float16")).logits(index, view)
    assert torch.equal(ours.half().float(), theirs)
    assert not torch.equal(ours, theirs)


def test_logits_beyond_float16_stop_with_the_samples_and_the_remedy(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"beyond the encoding for samples \d+ \(view 0\).*float32"):
        write(label_set(tmp_path), Teacher(scale=1e6), Dense("float16"))


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_stop_with_the_samples(tmp_path, poison):
    with pytest.raises(TrainingDiverged, match=r"not finite for samples 0, 1, 2 \(view 0\)"):
        write(label_set(tmp_path), Teacher(scale=poison))


def test_a_teacher_in_training_mode_is_refused(tmp_path):
    labels = label_set(tmp_path)
    labeller = Labeller(Teacher().train(), Dense("float32"), CPU, 4, lambda done: None)
    with pytest.raises(AssertionError, match="eval mode"):
        labeller.write(list(labels.train()), Loader(labels.data.train, labels.data, CPU.device, views()))


def test_labels_of_another_teacher_in_the_same_place_are_refused_with_the_field_that_differs(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    document = json.loads((labels.place.directory / "labels.json").read_text())
    document["identity"]["teacher"] = "another"
    (labels.place.directory / "labels.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=r'identity\.teacher: "another", not "t0"'):
        reader(labels)


@pytest.mark.parametrize("place", range(16))
def test_a_flipped_bit_anywhere_in_a_shard_is_named(tmp_path, place):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    victim = list(labels.train())[3]
    content = bytearray(victim.path.read_bytes())
    content[place * (len(content) - 1) // 15] ^= 1
    victim.path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"view-001/block-00000\.npy is corrupt"):
        reader(labels)


@pytest.mark.parametrize("sixteenth", range(16))
def test_a_shard_cut_anywhere_is_named_and_made_again(tmp_path, sixteenth):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    victim = next(labels.train())
    content = victim.path.read_bytes()
    victim.path.write_bytes(content[: len(content) * sixteenth // 16])
    with pytest.raises(ArtifactError, match=r"block-00000\.npy has \d+ bytes, its seal says"):
        reader(labels)
    assert labels.missing() == [victim]
    write(labels, Teacher())
    assert victim.path.read_bytes() == content


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda shards: shards[0].path.unlink(), "is missing"),
        (lambda shards: shards[0].seal_path.unlink(), "is missing"),
        (lambda shards: shards[0].seal_path.write_text("{}"), "not a seal"),
        (lambda shards: shards[0].seal_path.write_text("{"), "not JSON"),
        (lambda shards: shards[0].seal_path.write_bytes(shards[1].seal_path.read_bytes()), "other pictures"),
        (lambda shards: shards[0].path.write_bytes(shards[1].path.read_bytes()), "corrupt"),
        (lambda shards: shards[0].path.write_bytes(bytes(shards[0].path.stat().st_size)), "corrupt"),
    ],
    ids=["rows gone", "seal gone", "empty seal", "cut seal", "swapped seal", "swapped rows", "zeros"],
)
def test_damage_to_shards_and_seals_is_refused(tmp_path, damage, complaint):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    damage(list(labels.train()))
    with pytest.raises(ArtifactError, match=complaint):
        reader(labels)


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    shard = next(labels.train())
    with shard.path.open("wb") as file:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    content = shard.path.read_bytes()
    seal = replace(shard.seal(), bytes=len(content), crc32=[__import__("zlib").crc32(content)])
    shard.seal_path.write_text(json.dumps(seal.__dict__))
    with pytest.raises(ArtifactError, match="not an array of numbers"):
        reader(labels)


def test_every_file_of_a_label_set_opens_with_numpy_alone(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher(), Dense("float16"))
    for shard in labels.shards():
        rows = np.load(shard.path, mmap_mode="r", allow_pickle=False)
        assert rows.dtype == np.float16 and rows.shape == (shard.rows, 3)
