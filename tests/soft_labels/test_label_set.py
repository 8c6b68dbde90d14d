"""Soft labels on disk: found by index, sealed, and refused when anything about them is wrong."""

import shutil
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from distill_cli.artifacts.files import read_sealed_json, write_sealed_json
from distill_cli.artifacts.store import Place
from distill_cli.data.loader import Loader
from distill_cli.data.splits import ArraySplit, DataSet
from distill_cli.data.views.clean import CLEAN
from distill_cli.data.views.views import open_views
from distill_cli.errors import ArtifactError, ConfigError, TrainingDiverged
from distill_cli.losses.outputs import Outputs
from distill_cli.models.penultimate import Penultimate
from distill_cli.runtime.device import resolve
from distill_cli.runtime.shared import shared
from distill_cli.soft_labels import rows as rows_module
from distill_cli.soft_labels.encodings import Dense
from distill_cli.soft_labels.label_set import EMBEDDING, LOGITS, LabelSet
from distill_cli.soft_labels.reader import LabelReader
from distill_cli.soft_labels.rows import FileRows, ResidentRows
from distill_cli.soft_labels.shards import Shard, crc32_of
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


def label_set(tmp_path, count: int = 2, of: DataSet | None = None, teacher: str = "t0", **more):
    place = Place(tmp_path, "soft_labels", "teacher-shift", {"teacher": teacher})
    return LabelSet(place, of or data(), views=count, block=BLOCK, **{"mixes": False, **more})


class Teacher(nn.Module):
    """Counts the samples it has seen. Its features are its logits, up to a factor."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.seen = 0
        self.head = nn.Linear(3, 3, bias=False)
        nn.init.eye_(self.head.weight)
        self.head.weight.data *= scale

    def forward(self, inputs):
        self.seen += len(inputs)
        return self.head(inputs[:, 0, 1:4, 2])


def dense(dtype: str = "float32") -> Dense:
    return Dense(dtype, len(CLASSES))


def write(labels: LabelSet, teacher: Teacher, encoding=None, batch_size: int = 3, mixing=None) -> None:
    labels.write_identity()
    penultimate = Penultimate(teacher) if EMBEDDING in labels.parts else None
    labeller = Labeller(teacher.eval(), encoding or dense(), CPU, batch_size, lambda done: None, penultimate)
    loaders = {
        "train": Loader(labels.data.train, labels.data, CPU.device, views(mixing)),
        "validation": Loader(labels.data.validation, labels.data, CPU.device),
        "test": Loader(labels.data.test, labels.data, CPU.device),
    }
    for block in labels.missing():
        labeller.label(block, labels.unsealed(block), loaders[block.split]).write()


def reader(labels: LabelSet, encoding=None, resident: str = "true") -> LabelReader:
    return LabelReader(labels, encoding or dense(), CPU.device, resident, resident_bytes=1e9)


def read_all(labels: LabelSet, encoding=None, resident: str = "true") -> Outputs:
    """Every row of every view, view by view."""
    samples = len(labels.data.train)
    index = torch.arange(samples).repeat(labels.views)
    return reader(labels, encoding, resident).outputs(
        index, torch.arange(labels.views).repeat_interleave(samples)
    )


def train_shards(labels: LabelSet) -> list[Shard]:
    return [block.shard(LOGITS) for block in labels.train()]


both_ways = pytest.mark.parametrize("resident", ["true", "false"], ids=["in memory", "from files"])


@both_ways
def test_a_row_is_found_by_view_and_sample_whatever_the_order(tmp_path, resident):
    labels, teacher = label_set(tmp_path), Teacher()
    write(labels, teacher)
    rows = reader(labels, resident=resident)
    source = Loader(labels.data.train, labels.data, CPU.device, views())
    index = np.random.default_rng(0).permutation(20)
    view = index % 2
    for batch in source.view(index, view, 7):
        assert torch.equal(rows.outputs(batch.index, batch.view).logits, teacher(batch.inputs))


def test_clean_validation_and_test_samples_are_labelled_too(tmp_path):
    labels, teacher = label_set(tmp_path), Teacher()
    write(labels, teacher)
    (shard,) = [shard for shard in labels.shards() if "test" in shard.path.parts]
    assert shard.view == CLEAN and shard.path.parent.name == "clean"
    (batch,) = Loader(labels.data.test, labels.data, CPU.device).clean(7)
    np.testing.assert_array_equal(np.load(shard.path), teacher(batch.inputs).detach().numpy())


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


@both_ways
def test_float16_rounds_and_float32_does_not(tmp_path, resident):
    exact, half = label_set(tmp_path / "32"), label_set(tmp_path / "16")
    write(exact, Teacher())
    write(half, Teacher(), dense("float16"))
    ours = read_all(exact, resident=resident).logits
    theirs = read_all(half, dense("float16"), resident).logits
    assert torch.equal(ours.half().float(), theirs)
    assert not torch.equal(ours, theirs)


def test_logits_beyond_float16_stop_with_the_samples_and_the_remedy(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"beyond the encoding for samples \d+ \(view 0\).*float32"):
        write(label_set(tmp_path), Teacher(scale=1e6), dense("float16"))


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_stop_with_the_samples(tmp_path, poison):
    with pytest.raises(TrainingDiverged, match=r"not finite for samples 0, 1, 2 \(view 0\)"):
        write(label_set(tmp_path), Teacher(scale=poison))


def test_a_teacher_in_training_mode_is_refused(tmp_path):
    labels = label_set(tmp_path)
    labeller = Labeller(Teacher().train(), dense(), CPU, 4, lambda done: None)
    with pytest.raises(AssertionError, match="eval mode"):
        loader = Loader(labels.data.train, labels.data, CPU.device, views())
        labeller.label(next(labels.train()), [LOGITS], loader)


def test_labels_of_another_teacher_in_the_same_place_are_refused_with_the_field_that_differs(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    path = labels.place.directory / "labels.json"
    document = read_sealed_json(path)
    document["identity"]["teacher"] = "another"
    write_sealed_json(path, document)
    with pytest.raises(ArtifactError, match=r'identity\.teacher: "another", not "t0"'):
        reader(labels)


def test_shards_of_another_teacher_copied_over_ours_are_refused_and_made_again(tmp_path):
    ours, theirs = label_set(tmp_path), label_set(tmp_path, teacher="t1")
    write(ours, Teacher())
    write(theirs, Teacher(scale=2))
    shard, foreign = train_shards(ours)[1], train_shards(theirs)[1]
    expected = shard.path.read_bytes()
    shutil.copy(foreign.path, shard.path)
    shutil.copy(foreign.seal_path, shard.seal_path)
    with pytest.raises(ArtifactError, match=r"block-00001\.npy was made from another teacher.*labels: "):
        reader(ours)
    assert [block.name for block in ours.missing()] == ["train/view-000/1"]
    write(ours, Teacher())
    assert shard.path.read_bytes() == expected


@both_ways
@pytest.mark.parametrize("place", range(16))
def test_a_flipped_bit_anywhere_in_a_shard_is_named(tmp_path, place, resident):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    victim = train_shards(labels)[3]
    content = bytearray(victim.path.read_bytes())
    content[place * (len(content) - 1) // 15] ^= 1
    victim.path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"view-001/block-00000\.npy is corrupt"):
        read_all(labels, resident=resident)


@both_ways
@pytest.mark.parametrize("sixteenth", range(16))
def test_a_shard_cut_anywhere_is_named_and_made_again(tmp_path, sixteenth, resident):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    victim = train_shards(labels)[0]
    content = victim.path.read_bytes()
    victim.path.write_bytes(content[: len(content) * sixteenth // 16])
    with pytest.raises(ArtifactError, match=r"block-00000\.npy has \d+ bytes, its seal says"):
        reader(labels, resident=resident)
    assert [block.shard(LOGITS) for block in labels.missing()] == [victim]
    write(labels, Teacher())
    assert victim.path.read_bytes() == content


@both_ways
@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda shards: shards[0].path.unlink(), "is missing"),
        (lambda shards: shards[0].seal_path.unlink(), "is missing"),
        (lambda shards: shards[0].seal_path.write_text("{}"), "digest differs"),
        (lambda shards: shards[0].seal_path.write_text("{"), "not JSON"),
        (lambda shards: write_sealed_json(shards[0].seal_path, {"format": 1}), "not a seal of format 1"),
        (
            lambda shards: shutil.copy(shards[1].seal_path, shards[0].seal_path),
            r"other pictures.*\(samples: ",
        ),
        (lambda shards: shutil.copy(shards[1].path, shards[0].path), "corrupt"),
        (lambda shards: shards[0].path.write_bytes(bytes(shards[0].path.stat().st_size)), "corrupt"),
    ],
    ids=[
        "rows gone",
        "seal gone",
        "empty seal",
        "cut seal",
        "foreign seal",
        "swapped seal",
        "swapped rows",
        "zeros",
    ],
)
def test_damage_to_shards_and_seals_is_refused(tmp_path, damage, complaint, resident):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    damage(train_shards(labels))
    with pytest.raises(ArtifactError, match=complaint):
        read_all(labels, resident=resident)


def test_any_changed_figure_in_a_seal_is_noticed(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    (seal_path,) = {shard.seal_path for shard in train_shards(labels)[:1]}
    text = seal_path.read_text()
    for position, letter in enumerate(text):
        if letter.isdigit():
            seal_path.write_text(text[:position] + str((int(letter) + 1) % 10) + text[position + 1 :])
            with pytest.raises(ArtifactError):
                reader(labels)


@both_ways
@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.array([{"a": 1}], dtype=object), "Python objects"),
        (np.asfortranarray(np.zeros((8, 3), np.float32)), "Fortran order"),
        (np.zeros((8, 3), ">f4"), "rows of"),
        (np.zeros((8, 3), np.float64), "rows of"),
        (np.zeros((8, 4), np.float32), "rows of"),
        (np.zeros((3, 8), np.float32), "rows of"),
    ],
    ids=["objects", "Fortran", "big-endian", "float64", "another class", "transposed"],
)
def test_an_array_that_is_not_what_the_encoding_says_is_refused_even_under_a_fitting_seal(
    tmp_path, array, complaint, resident
):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    shard = train_shards(labels)[0]
    seal = shard.seal()
    with shard.path.open("wb") as file:
        np.save(file, array, allow_pickle=True)
    content = shard.path.read_bytes()
    seal = replace(seal, bytes=len(content), crc32=crc32_of(content))
    write_sealed_json(shard.seal_path, asdict(seal))
    with pytest.raises(ArtifactError, match=complaint):
        read_all(labels, resident=resident)


def test_every_file_of_a_label_set_opens_with_numpy_alone(tmp_path):
    labels = label_set(tmp_path, parts=(LOGITS, EMBEDDING))
    write(labels, Teacher(), dense("float16"))
    for shard in labels.shards():
        rows = np.load(shard.path, mmap_mode="r", allow_pickle=False)
        assert rows.dtype == np.float16 and rows.shape == (shard.rows, 3)


@both_ways
def test_embeddings_lie_beside_the_logits_with_seals_of_their_own(tmp_path, resident):
    labels = label_set(tmp_path, parts=(LOGITS, EMBEDDING))
    write(labels, Teacher(scale=3))
    found = read_all(labels, resident=resident)
    torch.testing.assert_close(found.logits, 3 * found.embedding, rtol=2e-3, atol=1e-3)
    assert (labels.place.directory / "train/view-001/block-00002.embedding.json").is_file()


def test_embeddings_that_are_wanted_later_leave_the_logits_alone(tmp_path):
    plain, both = label_set(tmp_path), label_set(tmp_path, parts=(LOGITS, EMBEDDING))
    write(plain, Teacher())
    before = {shard.path: shard.path.stat().st_mtime_ns for shard in plain.shards()}
    assert plain.is_complete() and not both.is_complete()
    write(both, Teacher())
    assert both.is_complete()
    assert before == {shard.path: shard.path.stat().st_mtime_ns for shard in plain.shards()}


def test_a_damaged_embedding_is_named(tmp_path):
    labels = label_set(tmp_path, parts=(LOGITS, EMBEDDING))
    write(labels, Teacher())
    path = labels.place.directory / "train/view-000/block-00001.embedding.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"block-00001\.embedding\.npy is corrupt"):
        reader(labels)


def test_a_model_without_a_linear_layer_has_no_embeddings():
    with pytest.raises(ConfigError, match="no linear layer"):
        Penultimate(nn.Conv2d(1, 3, 3))


def test_what_was_asked_for_is_written_down_and_only_grows(tmp_path):
    write(label_set(tmp_path, count=3), Teacher())
    path = label_set(tmp_path).place.directory / "labels.json"
    three = path.read_bytes()
    extent = {"views": {LOGITS: 3}, "block": BLOCK}
    assert read_sealed_json(path)["extent"] == {
        **extent,
        "samples": {"train": 20, "validation": 5, "test": 7},
    }
    write(label_set(tmp_path, count=1), Teacher())
    assert path.read_bytes() == three
    write(label_set(tmp_path, count=3, of=data(30), parts=(LOGITS, EMBEDDING)), Teacher())
    grown = read_sealed_json(path)["extent"]
    assert grown["samples"]["train"] == 30 and grown["views"] == {LOGITS: 3, EMBEDDING: 3}
    write(label_set(tmp_path, count=5, of=data(30)), Teacher())
    assert read_sealed_json(path)["extent"]["views"] == {LOGITS: 5, EMBEDDING: 3}


def test_growing_in_steps_ends_with_the_bytes_of_doing_it_at_once(tmp_path):
    for count in (1, 2, 4):
        write(label_set(tmp_path / "steps", count=count), Teacher())
    write(label_set(tmp_path / "once", count=4), Teacher())
    steps, once = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("steps", "once")
    )
    assert steps == once


def test_files_are_closed_and_opened_again_without_changing_a_row(tmp_path, monkeypatch):
    labels = label_set(tmp_path, count=3)
    write(labels, Teacher())
    expected = read_all(labels).logits
    monkeypatch.setattr(rows_module, "_file_limit", lambda: 2)
    rows = reader(labels, resident="false")
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    for part in order.split(7):
        found = rows.outputs(part % 20, part // 20).logits
        assert torch.equal(found, expected[part])
        assert len(rows.logits.files) <= max(2, len(set((part // 20 * 3 + part % 20 // 8).tolist())))


def test_rows_stay_in_their_files_where_they_do_not_fit(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    small, large = (LabelReader(labels, dense(), CPU.device, "auto", limit) for limit in (479, 480))
    assert isinstance(small.logits, FileRows) and isinstance(large.logits, ResidentRows)


def test_readers_of_a_sweep_hold_the_same_rows_until_a_shard_is_another_one(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    with shared.during(job_of_sweep=True):
        first, second = reader(labels), reader(labels)
        assert first.logits.rows is second.logits.rows
        shutil.rmtree(labels.place.directory)
        write(labels, Teacher(scale=2.0))
        third = reader(labels)
    index, view = torch.arange(20), torch.zeros(20, dtype=torch.long)
    assert torch.allclose(third.outputs(index, view).logits, 2 * first.outputs(index, view).logits, rtol=1e-2)
    shared.release()
    assert reader(labels).logits.rows is not reader(labels).logits.rows


def test_a_file_cut_while_rows_are_read_from_it_is_named(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    rows = reader(labels, resident="false")
    index = torch.arange(8)
    rows.outputs(index, torch.zeros_like(index))
    path = train_shards(labels)[0].path
    with path.open("r+b") as file:
        file.truncate(200)
    with pytest.raises(ArtifactError, match=r"block-00000\.npy was cut while it was read"):
        rows.outputs(index, torch.zeros_like(index))


def test_cold_files_are_read_like_warm_ones(tmp_path, monkeypatch):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    rows = reader(labels, resident="false")
    rows.logits.is_cold = True
    index = torch.arange(20)
    assert torch.equal(rows.outputs(index, index % 2).logits, reader(labels).outputs(index, index % 2).logits)


def test_a_file_that_was_replaced_after_it_was_checked_is_checked_again(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    rows = reader(labels, resident="false")
    while len(rows.logits.checked) < 6:  # the thread that reads ahead
        time.sleep(0.01)
    shard = train_shards(labels)[0]
    replace(shard, samples="other pictures").write(np.zeros((8, 3), np.float32))
    index = torch.arange(8)
    with pytest.raises(ArtifactError, match=r"view-000/block-00000\.npy is corrupt"):
        rows.outputs(index, torch.zeros_like(index))


def test_a_damaged_labels_json_costs_that_file_alone(tmp_path):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    path = labels.place.directory / "labels.json"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"t0", b"t1"))
    assert not labels.is_complete()
    with pytest.raises(
        ArtifactError, match=r"labels\.json is corrupt.*remove it and run distill gen-soft-labels"
    ):
        reader(labels)
    teacher = Teacher()
    write(labels, teacher)
    assert teacher.seen == 0 and path.read_bytes() == before and labels.is_complete()


@pytest.mark.parametrize("value", ["NaN", "1e999", "-Infinity", "[" * 100_000])
def test_json_that_is_none_is_damage(tmp_path, value):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    seal = train_shards(labels)[0].seal_path
    seal.write_text(seal.read_text().replace('"start": 0', f'"start": {value}'))
    with pytest.raises(ArtifactError, match="is corrupt"):
        reader(labels)


@pytest.mark.parametrize(
    ("field", "value"), [("error", {"q": 1}), ("bytes", "many"), ("crc32", None), ("samples", 7)]
)
def test_a_seal_with_other_things_in_it_is_refused_whatever_its_digest(tmp_path, field, value):
    labels = label_set(tmp_path)
    write(labels, Teacher())
    seal = train_shards(labels)[0].seal_path
    write_sealed_json(seal, {**read_sealed_json(seal), field: value})
    with pytest.raises(ArtifactError, match="not a seal of format 1"):
        reader(labels)


@pytest.mark.parametrize("name", ["train/view-000", "train/view-000/block-00000.npy", "labels.json"])
def test_something_else_under_a_final_name_is_one_line(tmp_path, name):
    labels = label_set(tmp_path)
    path = labels.place.directory / name
    if name.endswith("view-000"):
        path.parent.mkdir(parents=True)
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.mkdir(parents=True)
    with pytest.raises((ArtifactError, OSError), match=r"in the way|Is a directory|is no file"):
        write(labels, Teacher())
