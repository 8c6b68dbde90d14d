"""New classes and new samples: what a student and a cache know already is not lost, and not made again."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from tool import new_session

from distill_cli import load_model
from distill_cli.artifacts.files import read_sealed_json, write_sealed_json
from distill_cli.data.digits import load as load_digits
from distill_cli.errors import ArtifactError, ConfigError, Interrupted
from distill_cli.stages import distill as distill_stage
from distill_cli.stages import evaluate, gen_soft_labels, train_teacher
from distill_cli.stages.jobs.former import Former, begun, going_on, open_former
from distill_cli.stages.jobs.rehearse import rehearse

OLD, ALL = "01234567", "0123456789"
MEAN, STD = 0.3, 0.37
BASE = (
    "data=arrays",
    f"data.mean=[{MEAN}]",
    f"data.std=[{STD}]",
    "views=shift",
    "views.mixing=none",
    "views.count=2",
    "teacher=mlp",
    "student=mlp_24",
    "temperature=2",
    "teacher.epochs=8",
    "student.epochs=20",
    "soft_labels.block=256",
    "evaluate.latency=false",
)


def save(path, classes: str, few: str = "", samples: int | None = None) -> None:
    """The digits of `classes`, in that order; of those in `few` two pictures are left to learn from."""
    raw, number = load_digits(path), {int(name): number for number, name in enumerate(classes)}
    parts = {}
    for prefix, split in (("", raw.train), ("test_", raw.test)):
        keep = np.isin(split.labels, list(number))
        for digit in map(int, few if not prefix else ""):
            keep[np.flatnonzero(split.labels == digit)[2:]] = False
        limit = None if prefix else samples
        parts[f"{prefix}images"] = split.images[keep][:limit]
        parts[f"{prefix}labels"] = np.array([number[label] for label in split.labels[keep]])[:limit]
    np.savez(path, classes=np.array(list(classes)), **parts)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Eight digits, all ten with few pictures of these eight, and a student of the eight."""
    directory = tmp_path_factory.mktemp("incremental")
    save(directory / "old.npz", OLD)
    save(directory / "new.npz", ALL, few=OLD)
    save(directory / "turned.npz", "98" + OLD[::-1], few=OLD)
    save(directory / "less.npz", "456789", few="4567")
    save(directory / "other.npz", "89")
    student = of(directory, "old", "alpha=0", "student.epochs=60")
    return directory, distill_stage.run(student).place.directory


def of(directory, data, *words):
    return new_session(directory, *BASE, f"data.file={directory / data}.npz", *words)


def grown(made, *words, data="new"):
    directory, student = made
    return of(directory, data, f"student.init={student}", *words)


def top1(session, known: str) -> float:
    """The share of test pictures of these digits that a student of all ten has right."""
    model = load_model(distill_stage.run(session).place.directory)
    test = session.plan.data.test
    names = np.array(session.plan.data.classes)[test.labels]
    with torch.no_grad():
        answers = model((torch.from_numpy(test.images) / 255 - MEAN) / STD).argmax(dim=1).numpy()
    return float((answers == test.labels)[np.isin(names, list(known))].mean())


def test_with_lwf_a_student_keeps_more_of_the_old_classes_than_by_going_on_alone(made):
    alone, kept = (grown(made, word, "student.epochs=60") for word in ("alpha=0", "loss=lwf"))
    assert top1(kept, OLD) > top1(alone, OLD) + 0.1
    assert top1(kept, "89") > top1(alone, "89") - 0.05


@pytest.mark.parametrize("data", ["new", "turned"])
def test_before_training_the_grown_student_says_what_the_former_one_said_of_old_classes(made, data):
    session = grown(made, data=data)
    model, former = begun(session.plan).eval(), load_model(made[1])
    pictures = (torch.from_numpy(session.plan.data.test.images[:50]) / 255 - MEAN) / STD
    columns = [session.plan.data.classes.index(name) for name in OLD]
    with torch.no_grad():
        torch.testing.assert_close(model(pictures)[:, columns], former(pictures))


def test_the_former_student_is_asked_for_the_classes_that_are_still_there(made):
    session = grown(made, "loss=lwf", data="less")
    former = open_former(session.plan)
    assert former.known_classes.tolist() == [0, 1, 2, 3]
    pictures = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = load_model(made[1])(pictures)[:, 4:8]
    torch.testing.assert_close(former(pictures).logits, expected)
    assert going_on(session.plan).endswith(
        "which knows 4 of the 6 classes; it forgets 0, 1, 2, 3, which are gone"
    )
    assert distill_stage.run(session).status == "built"


def test_a_teacher_and_old_knowledge_add_up_and_are_reported(made):
    session = grown(made, "loss=kd+lwf")
    train_teacher.run(session)
    assert gen_soft_labels.run(session).status == "built"
    record = json.loads((distill_stage.run(session).place.directory / "history.json").read_text())[-1]
    assert {"hard", "kd", "lwf"} <= record.keys()
    assert evaluate.run(session).status == "built"


def test_lwf_alone_needs_no_teacher(made):
    session = grown(made, "loss=lwf")
    assert not session.plan.is_taught
    assert distill_stage.run(session).inputs == {}


def test_interrupted_it_goes_on_to_the_same_bytes(made, tmp_path, monkeypatch):
    directory, student = made
    whole = distill_stage.run(grown(made, "loss=lwf")).place.directory
    words = (f"data.file={directory / 'new'}.npz", f"student.init={student}", "loss=lwf")
    cut = new_session(tmp_path, *BASE, *words)
    with monkeypatch.context() as patch:
        terminate_in_step(patch, 37)
        with pytest.raises(Interrupted):
            distill_stage.run(cut)
    result = distill_stage.run(cut)
    assert result.status == "resumed"
    weights = [(path / "model.safetensors").read_bytes() for path in (whole, result.place.directory)]
    assert weights[0] == weights[1]


def terminate_in_step(patch, number: int) -> None:
    asked, ask = [], Former.__call__

    def counted(self, inputs):
        asked.append(len(inputs))
        if len(asked) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return ask(self, inputs)

    patch.setattr(Former, "__call__", counted)


def test_the_key_holds_what_the_student_goes_on_from_under_the_names_of_its_classes(made, tmp_path):
    plain, session = of(made[0], "new").plan, grown(made)
    assert "init" not in plain.student.identity
    for place in (session.plan.student, session.plan.baseline):  # an equal budget: it begins there too
        assert place.identity["init"]["classes"] == list(OLD)
    assert session.plan.teacher.key == plain.teacher.key
    renamed = tmp_path / "renamed"
    shutil.copytree(made[1], renamed)
    rewrite_classes(renamed, list(OLD[::-1]))
    other = grown((made[0], renamed)).plan
    assert other.student.identity["init"]["weights"] == session.plan.student.identity["init"]["weights"]
    assert len({plan.baseline.key for plan in (plain, session.plan, other)}) == 3
    assert grown((made[0], made[1] / "model.safetensors")).plan.student.key == session.plan.student.key


def rewrite_classes(directory, classes) -> None:
    document = read_sealed_json(directory / "artifact.json")
    document.pop("digest", None)
    write_sealed_json(
        directory / "artifact.json", {**document, "data": {**document["data"], "classes": classes}}
    )


@pytest.mark.parametrize(
    ("words", "data", "message"),
    [
        (("student.init=nowhere",), "new", r"student\.init=nowhere is not there; put it back, or"),
        (
            ("data.mean=[0.4]",),
            "new",
            r"normalised in another way; set data\.mean=\[0\.3\] data\.std=\[0\.37\]",
        ),
        ((), "other", "knows none of the classes 8, 9: its own are 0, 1, 2, 3, 4 and 3 more"),
        (("loss=simkd",), "new", "gives the student its teacher's classifier, student.init another"),
        (
            ("loss=lwf", "student.init=null"),
            "new",
            r"loss=lwf needs the student .* set student\.init=ARTEFACT$",
        ),
        (("loss=kd+lwf", "assistant=mlp"), "new", r"loss=lwf needs .* and leave assistant out"),
    ],
)
def test_what_cannot_go_on_is_one_line_before_torch_is_needed(made, words, data, message):
    with pytest.raises(ConfigError, match=message):
        grown(made, *words, data=data)


@pytest.mark.parametrize("verb", ["distill", "run"])
def test_another_architecture_is_named_by_the_tensor_that_differs(made, verb):
    session = grown(made, "student.model.width=25", "loss=lwf")
    with pytest.raises(
        ArtifactError, match=r"model\.safetensors: 'body.*' is \(24, 64\) there and \(25, 64\)"
    ):
        distill_stage.run(session) if verb == "distill" else rehearse(session.plan)
    with pytest.raises(ArtifactError, match="another architecture"):
        rehearse(grown(made, "student.model.width=25", "alpha=0").plan)


def test_a_student_that_is_another_model_is_told_which_two_they_are(made):
    with pytest.raises(ConfigError, match=r"student\.init=.* is mlp_24, the student is cnn_tiny; name one"):
        rehearse(grown(made, "student=cnn_tiny", "alpha=0").plan)


def test_a_bare_file_of_weights_goes_on_with_as_many_classes_alone(made, tmp_path):
    directory, student = made
    bare = shutil.copy(student / "model.safetensors", tmp_path / "bare.safetensors")
    words = (f"student.init={bare}", "alpha=0", "student.epochs=1")
    assert distill_stage.run(of(directory, "old", *words)).status == "built"
    with pytest.raises(ArtifactError, match=r"has 8 classes, .* has 10; .* student\.init=DIRECTORY"):
        distill_stage.run(of(directory, "new", *words))


def test_damaged_weights_are_not_gone_on_from(made, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(made[1], damaged)
    content = bytearray((damaged / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match="is corrupt"):
        distill_stage.run(grown((made[0], damaged), "alpha=0"))


@pytest.fixture(scope="module")
def teacher(made):
    """Of eight digits, trained here: its key depends on the pictures that it saw."""
    return train_teacher.run(of(made[0], "old")).place.directory / "model.safetensors"


def labelled(directory, data, teacher, *words):
    session = of(directory, data, f"teacher.checkpoint={teacher}", *words)
    train_teacher.run(session)
    return gen_soft_labels.run(session)


def test_more_samples_of_a_teacher_that_was_brought_in_are_labelled_and_no_others(tmp_path, teacher, capfd):
    save(tmp_path / "toy.npz", OLD, samples=600)
    assert labelled(tmp_path, "toy", teacher).metrics["shards_written"] == 2 * 3 + 3  # three clean blocks
    save(tmp_path / "toy.npz", OLD)
    result = labelled(tmp_path, "toy", teacher)
    assert result.status == "resumed"
    blocks = -(-len(of(tmp_path, "toy").plan.data.train) // 256)
    assert (
        result.metrics["shards_written"] == 2 * (blocks - 2) + 1
    )  # whole blocks stay; the validation part grew
    assert "made again" not in capfd.readouterr().err


def test_a_teacher_of_old_classes_alone_is_refused_with_what_it_lacks(made, teacher):
    with pytest.raises(
        Exception, match=r"teacher\.checkpoint=.*has other classes, 0, 1.*name a teacher"
    ) as stopped:
        train_teacher.run(of(made[0], "new", f"teacher.checkpoint={teacher}"))
    assert stopped.value.exit_code == 4


@pytest.mark.parametrize("word", ["data.mean=[0.4]", "data.std=[0.4]"])
def test_a_teacher_that_saw_pictures_normalised_otherwise_is_refused_with_what_to_type(made, teacher, word):
    with pytest.raises(
        ConfigError,
        match=r"^teacher\.checkpoint=.* in another way; set data\.mean=\[0\.3\] data\.std=\[0\.37\]$",
    ):
        of(made[0], "old", f"teacher.checkpoint={teacher}", word)


def test_damaged_weights_are_not_brought_in(tmp_path, made, teacher):
    damaged = tmp_path / "damaged"
    shutil.copytree(teacher.parent, damaged)
    content = bytearray(teacher.read_bytes())
    content[-1] ^= 1
    (damaged / teacher.name).write_bytes(content)
    session = new_session(
        tmp_path, *BASE, f"data.file={made[0] / 'old'}.npz", f"teacher.checkpoint={damaged / teacher.name}"
    )
    with pytest.raises(ArtifactError, match="is corrupt"):
        rehearse(session.plan)
    with pytest.raises(ArtifactError, match="is corrupt"):
        train_teacher.run(session)


def test_new_pictures_in_a_folder_of_their_own_leave_the_old_soft_labels_alone(tmp_path):
    for number in range(90):
        save_picture(tmp_path / "new" / "ab"[number % 2] / f"{number}.png", seed=1000 + number)
    for number in range(200):
        save_picture(tmp_path / "old" / "ab"[number % 2] / f"{number}.png", seed=number)
    words = ("data=folder", f"paths.data={tmp_path}", "data.size=8", "soft_labels.block=32")
    first = new_session(tmp_path, *FOLDER, *words, "data.path=old")
    weights = train_teacher.run(first).place.directory / "model.safetensors"
    sessions = [
        new_session(tmp_path, *FOLDER, *words, f"data.path={path}", f"teacher.checkpoint={weights}")
        for path in ("old", "[old,new]")
    ]
    train_teacher.run(sessions[0])
    gen_soft_labels.run(sessions[0])
    before = len(sessions[0].plan.data.train) // 32
    missing = [block for block in sessions[1].plan.labels.missing() if block.split == "train"]
    assert before >= 3 and {block.number for block in missing} == set(range(before, missing[-1].number + 1))
    assert gen_soft_labels.run(sessions[1]).status == "resumed"


def save_picture(path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


FOLDER = [word for word in BASE if not word.startswith(("data", "soft_labels.block"))]


def test_with_mixing_one_more_sample_labels_all_of_train_again(tmp_path, teacher):
    words = ("views.mixing=mixup",)
    save(tmp_path / "toy.npz", OLD, samples=600)
    labelled(tmp_path, "toy", teacher, *words)
    save(tmp_path / "toy.npz", OLD, samples=601)
    session = of(tmp_path, "toy", f"teacher.checkpoint={teacher}", *words)
    train = [block for block in session.plan.labels.blocks() if block.split == "train"]
    assert [block for block in session.plan.labels.missing() if block.split == "train"] == train
