"""The cache as users meet it: what belongs together is used, what does not is named, and nothing is done twice."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from tool import QUICK, contents, distill, new_session

from distill_cli.stages import distill as distill_stage
from distill_cli.stages import gen_soft_labels, train_teacher

SMALL = (*QUICK, "views=shift", "views.mixing=none", "views.count=2", "soft_labels.block=512")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory with a teacher and its soft labels."""
    directory = tmp_path_factory.mktemp("made")
    session = new_session(directory, *SMALL)
    train_teacher.run(session)
    gen_soft_labels.run(session)
    return directory


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("views.seed=1", "views.seed: 0, not 1"),
        ("views.pixels=2", "views.pixels: 1, not 2"),
        ("soft_labels=float32", "encoding.dtype"),
        ("soft_labels=int8", "encoding._target_"),
        ("soft_labels.batch_size=128", "encoding.batch_size: 256, not 128"),
        ("teacher.seed=1", "teacher: "),
        ("data.mean=[0.5]", "data.mean.*"),
        ("precision=bf16", "precision: "),
    ],
)
def test_soft_labels_that_differ_in_a_field_are_not_used_and_the_field_is_named(made, override, field):
    with pytest.raises(Exception, match=rf"there are no soft labels .* differ in .*{field}") as caught:
        distill_stage.run(new_session(made, *SMALL, override))
    assert caught.value.exit_code == 4
    assert "distill gen-soft-labels" in str(caught.value)


def test_more_views_run_the_teacher_on_the_new_ones_alone(made, monkeypatch):
    seen = count_teacher_rows(monkeypatch)
    session = new_session(made, *SMALL, "views.count=3")
    result = gen_soft_labels.run(session)
    assert sum(seen) == len(session.plan.data.train)
    assert result.metrics["shards_written"] == 3  # blocks of 512


def test_a_block_that_is_missing_is_named_by_its_first_file(made):
    session = new_session(made, *SMALL, "views.count=7", "temperature=6")
    with pytest.raises(
        Exception, match=r"blocks of soft labels are not there \(the first: .*view-\d+/block-00000\.json\)"
    ):
        distill_stage.run(session)


def test_embeddings_that_are_wanted_later_are_added_and_read_by_a_student(made, capsys):
    session = new_session(made, *SMALL, "soft_labels.embedding=true")
    result = gen_soft_labels.run(session)
    assert result.metrics["shards_written"] == 8 and result.status == "resumed"
    assert "soft labels: extended by embeddings · " in capsys.readouterr().err
    assert distill_stage.run(session).status == "built"
    (name,) = {path.name for path in made.rglob("train/view-000/block-00000.embedding.npy")}
    assert np.load(next(made.rglob(f"train/view-000/{name}"))).shape[0] == 512


def count_teacher_rows(monkeypatch) -> list[int]:
    from distill_cli.soft_labels import writer

    seen, predict = [], writer.predict

    def counted(model, inputs, runtime):
        seen.append(len(inputs))
        return predict(model, inputs, runtime)

    monkeypatch.setattr(writer, "predict", counted)
    return seen


PICTURES = (
    "data=arrays",
    "paths.data=.",
    "data.file=toy.npz",
    "data.mean=[0.5]",  # given: they would follow from the pictures
    "data.std=[0.5]",
    "teacher=mlp_24",
    "student=mlp_24",
    "views=none",
    "views.mixing=none",
)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Pictures in an .npz, and a teacher brought from elsewhere: its key does not depend on the pictures."""
    monkeypatch.chdir(tmp_path)
    save_pictures(tmp_path)
    (tmp_path / "home").mkdir()
    made = train_teacher.run(new_session(tmp_path / "home", *PICTURES, *QUICK))
    weights = made.place.directory / "model.safetensors"
    return (*PICTURES, *QUICK, f"teacher.checkpoint={weights}", "views.count=2", "soft_labels.block=16")


def save_pictures(directory, change=lambda images, labels, classes: None) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (64, 6, 6, 1), dtype=np.uint8)
    labels, classes = np.arange(64) % 3, np.array(["a", "b", "c"])
    change(images, labels, classes)
    parts = {
        "images": images[:48],
        "labels": labels[:48],
        "val_images": images[48:56],
        "val_labels": labels[48:56],
    }
    test = {"test_images": images[56:], "test_labels": labels[56:]}
    np.savez(directory / "toy.npz", classes=classes, **parts, **test)


def test_one_changed_picture_makes_its_block_again_and_no_other(tmp_path, toy, monkeypatch, capfd):
    def one_picture(images, labels, classes):
        images[20, 0, 0, 0] ^= 1

    labels_of(tmp_path, toy)
    save_pictures(tmp_path, one_picture)
    session = new_session(tmp_path, *toy)
    with pytest.raises(Exception, match=r"2 of 8 blocks .*block-00001\.npy was made from .*samples: "):
        distill_stage.run(session)
    seen = count_teacher_rows(monkeypatch)
    gen_soft_labels.run(session)
    assert sum(seen) == 2 * 16
    assert "soft labels: made again: " in capfd.readouterr().err


def test_two_swapped_pictures_are_noticed(tmp_path, toy):
    def swap(images, labels, classes):
        images[[3, 40]] = images[[40, 3]]

    labels_of(tmp_path, toy)
    save_pictures(tmp_path, swap)
    with pytest.raises(Exception, match=r"4 of 8 blocks of soft labels are not there .*samples: "):
        distill_stage.run(new_session(tmp_path, *toy))


def test_changed_hard_labels_leave_soft_labels_alone(tmp_path, toy):
    def relabel(images, labels, classes):
        labels[:] = (labels + 1) % 3

    labels_of(tmp_path, toy)
    save_pictures(tmp_path, relabel)
    session = new_session(tmp_path, *toy)
    assert gen_soft_labels.run(session).status == "up-to-date"
    assert distill_stage.run(session).status == "built"


def test_another_order_of_the_classes_is_named(tmp_path, toy):
    def reorder(images, labels, classes):
        classes[:] = ["b", "a", "c"]

    (checkpoint,) = (word for word in toy if word.startswith("teacher.checkpoint="))
    nameless = shutil.copy(checkpoint.partition("=")[2], tmp_path / "nameless.safetensors")  # of no artefact
    toy = [word for word in toy if word != checkpoint] + [f"teacher.checkpoint={nameless}"]
    labels_of(tmp_path, toy)
    save_pictures(tmp_path, reorder)
    session = new_session(tmp_path, *toy)
    train_teacher.run(session)
    with pytest.raises(Exception, match=r"there are no soft labels .* differ in data\.classes: "):
        distill_stage.run(session)


def labels_of(directory, settings) -> None:
    session = new_session(directory, *settings)
    train_teacher.run(session)
    gen_soft_labels.run(session)


@pytest.mark.parametrize("encoding", ["float16", "bfloat16", "float32", "int8", "int4", "top_k"])
def test_every_encoding_trains_the_same_student_from_memory_and_from_files(tmp_path, toy, encoding):
    words = (
        f"soft_labels={encoding}",
        *(["soft_labels.k=2"] if encoding == "top_k" else []),
        "temperature=2",
    )
    labels_of(tmp_path, (*toy, *words))
    weights = []
    for resident in ("true", "false"):
        session = new_session(tmp_path, *toy, *words, f"soft_labels.resident={resident}")
        result = distill_stage.run(session)
        weights.append((result.place.directory / "model.safetensors").read_bytes())
        os.rename(result.place.directory, tmp_path / resident)  # noqa: PTH104
    assert weights[0] == weights[1]


def test_rows_that_change_the_loss_too_much_stop_before_training_with_the_encoding_to_take(tmp_path, toy):
    words = (*toy, "soft_labels=bfloat16", "temperature=1")
    labels_of(tmp_path, words)
    with pytest.raises(Exception, match=r"by .* at temperature 1; take soft_labels=float32") as stopped:
        distill_stage.run(new_session(tmp_path, *words, "soft_labels.allow_error=0"))
    assert stopped.value.exit_code == 2
    assert distill_stage.run(new_session(tmp_path, *words, "soft_labels.allow_error=1")).status == "built"


def test_top_k_says_which_share_of_the_loss_it_keeps(tmp_path, toy, capfd):
    words = (*toy, "soft_labels=top_k", "soft_labels.k=1", "temperature=4")
    labels_of(tmp_path, words)
    distill_stage.run(new_session(tmp_path, *words))
    assert "soft labels: at temperature 4 the classes kept and the rest hold " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["soft_labels=top_k"], ["k=50", "10 classes"]),
        (["soft_labels=top_k", "soft_labels.k=0"], ["k=0"]),
        (["soft_labels=top_k", "soft_labels.k=4", "loss=logit_mse"], ["top_k", "soft_labels=float16"]),
        (["soft_labels=top_k", "soft_labels.k=4", "temperature=0.5"], ["top_k", "0.5"]),
        (["soft_labels.resident=perhaps"], ["soft_labels.resident=perhaps", "auto, true or false"]),
        (["soft_labels.allow_error=-1"], ["soft_labels.allow_error=-1"]),
        (["soft_labels.embedding=7"], ["soft_labels.embedding=7", "true or false"]),
        (["soft_labels=float16", "soft_labels.dtype=float8"], ["float8", "float16, bfloat16, float32"]),
        (["+loss.token=${oc.env:HOME}"], ["loss.token", "environment"]),
        (["+zz=${oc.env:HOME}", "+loss.token=${oc.select:zz}"], ["loss.token", "environment"]),
        (["+my.token=${oc.env:HOME}", "+loss.token=${my.token}"], ["loss.token", "environment"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_a_mistake_about_the_cache_is_one_line_before_anything_is_trained(tmp_path, words, parts):
    done = distill("run", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("distill: error: ")]
    assert all(part in line for part in parts), line
    assert not list(tmp_path.glob("artifacts/[!.]*/[!.]*"))


def test_what_comes_out_of_the_environment_is_left_in_no_file(tmp_path):
    (tmp_path / "my/loss").mkdir(parents=True)
    (tmp_path / "my/loss/tracked.yaml").write_text(
        "name: tracked\n_target_: distill_cli.losses.logit_mse.LogitMse\nmean_free: ${oc.env:TOKEN}\n"
    )
    done = distill(
        "run", "--config-dir", "my", "loss=tracked", cwd=tmp_path, env={**os.environ, "TOKEN": "s3cr3t"}
    )
    assert done.returncode == 2 and "loss.mean_free comes out of the environment" in done.stderr
    assert not [name for name, content in contents(tmp_path).items() if b"s3cr3t" in content]


def test_a_seal_holds_the_error_of_its_encoding(tmp_path):
    session = new_session(tmp_path, *SMALL, "precision=fp32")  # float16 holds bfloat16 logits exactly
    train_teacher.run(session)
    gen_soft_labels.run(session)
    (seal,) = tmp_path.rglob("train/view-001/block-00001.json")
    error = json.loads(seal.read_text())["error"]
    assert error["temperatures"] == [1, 2, 4, 8, 20] and error["rows"] == 256
    assert all(0 < mean < 0.05 for mean in error["mean"])


def test_a_command_that_can_only_fail_leaves_nothing_to_go_on_with(made):
    before = contents(made)
    for stage, words in (
        (gen_soft_labels, ["soft_labels=top_k"]),
        (distill_stage, ["soft_labels=float32"]),
        (distill_stage, ["soft_labels.allow_error=0", "temperature=3"]),
        (distill_stage, ["views.count=9"]),
    ):
        with pytest.raises(Exception, match=r"soft_labels|soft labels"):
            stage.run(new_session(made, *SMALL, *words))
    assert contents(made).keys() - before.keys() <= {
        name for name in contents(made) if name.startswith("artifacts/.locks/")
    }
    assert not list(made.glob("artifacts/students/.*.work"))
    assert len(list(made.glob("artifacts/soft_labels/*"))) == 1


def test_a_process_that_labels_is_seen_before_its_first_claim(made):
    from distill_cli.artifacts.claims import Claims
    from distill_cli.cache.locks import holder

    place = new_session(made, *SMALL).plan.labels.place
    watch = (
        "import sys; from pathlib import Path; from distill_cli.artifacts.claims import Claims\n"
        "claims = Claims(Path(sys.argv[1])); claims.be_present(); print('here', flush=True); sys.stdin.read()"
    )
    with Claims(place.claims):
        pass  # the file is there from now on
    assert not holder(place.root, place.kind, place.key[:12])
    two = [
        subprocess.Popen(
            [sys.executable, "-c", watch, str(place.claims)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in two] == [b"here\n"] * 2
    assert holder(place.root, place.kind, place.key[:12]).startswith(("process", "another"))
    for process in two:
        process.communicate()
    assert not holder(place.root, place.kind, place.key[:12])
