"""Runs whose soft labels are filtered, and runs that see two views of a sample in a step."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file
from tool import new_session

from distill_cli.errors import ConfigError
from distill_cli.soft_labels.encodings import open_encoding
from distill_cli.soft_labels.rows import as_bytes
from distill_cli.stages import distill, gen_soft_labels, train_teacher

SETTINGS = (
    "soft_labels=float32",
    "precision=fp32",
    "teacher=mlp",
    "teacher.epochs=2",
    "student.epochs=3",
    "student.batch_size=613",  # two equal batches: 1,226 samples
    "views=shift",
    "views.mixing=none",
)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A directory with a teacher and its labels in two views; makes sessions there."""
    directory = tmp_path_factory.mktemp("taught")

    def session(*overrides):
        return new_session(directory, *SETTINGS, *overrides)

    train_teacher.run(session())
    gen_soft_labels.run(session("views.count=2"))
    return session


def history(result) -> list[dict[str, float]]:
    return json.loads((result.place.directory / "history.json").read_text())


def weights(result) -> np.ndarray:
    state = load_file(result.place.directory / "model.safetensors")
    return np.concatenate([value.numpy().ravel() for value in state.values()])


def rows(session, view: int) -> np.ndarray:
    """The teacher's logits for one view of all train samples."""
    plan = session.plan
    files = [block.shard("logits").path for block in plan.labels.train() if block.view == view]
    encoding = open_encoding(plan.config.soft_labels, len(plan.data.classes))
    return encoding.decode(as_bytes(np.concatenate([np.load(path) for path in files]))).logits.numpy()


def test_the_history_says_which_share_of_the_soft_labels_was_kept(taught):
    session = taught("views.count=1", "teacher_filter=drop")
    kept = [record["kept"] for record in history(distill.run(session))]
    right = (rows(session, 0).argmax(1) == session.plan.data.train.labels).mean()
    assert 0.3 < right < 0.999
    assert kept == pytest.approx([right] * 3, abs=1e-6)


def test_an_unsure_teacher_is_not_listened_to(taught):
    session = taught("views.count=1", "teacher_filter=drop", "teacher_filter.least_confidence=0.8")
    logits = rows(session, 0).astype(np.float64)
    sure = np.exp(logits.max(1) - np.log(np.exp(logits).sum(1))) >= 0.8
    is_kept = sure & (logits.argmax(1) == session.plan.data.train.labels)
    assert history(distill.run(session))[0]["kept"] == pytest.approx(is_kept.mean(), abs=1e-6)


@pytest.mark.parametrize(
    "words", [["views.count=1"], ["views.count=2", "loss=dist"], ["loss=pkt", "views.count=1"]]
)
def test_a_filter_makes_another_student(taught, words):
    if "loss=pkt" in words:
        gen_soft_labels.run(taught(*words))  # embeddings as well
    plain, dropped, halved = (
        distill.run(taught(*words, *more))
        for more in ([], ["teacher_filter=drop"], ["teacher_filter=downweight"])
    )
    assert len({one.place.key for one in (plain, dropped, halved)}) == 3
    assert "kept" not in history(plain)[0] and "kept" in history(halved)[0]
    assert not np.array_equal(weights(plain), weights(dropped))
    assert not np.array_equal(weights(halved), weights(dropped))


def test_an_online_teacher_and_the_largest_logits_alone_are_filtered_as_well(taught):
    cached = distill.run(taught("views.count=1", "teacher_filter=drop"))
    online = distill.run(taught("views.count=1", "teacher_filter=drop", "teacher_source=online"))
    np.testing.assert_allclose(weights(cached), weights(online), rtol=1e-3, atol=1e-5)
    top = ["views.count=1", "soft_labels=top_k", "soft_labels.k=5"]
    gen_soft_labels.run(taught(*top))
    largest = distill.run(taught(*top, "teacher_filter=drop"))
    assert history(largest)[0]["kept"] == pytest.approx(history(cached)[0]["kept"], abs=2e-3)


@pytest.mark.parametrize("loss", ["tf_kd", "self_distillation"])
def test_a_loss_without_a_teacher_has_nothing_to_filter(taught, loss):
    with pytest.raises(ConfigError, match=f"teacher_filter=drop: loss={loss} learns from no teacher; leave"):
        taught(f"loss={loss}", "teacher_filter=drop")


def test_a_filter_of_impossible_values_is_refused_before_training(taught):
    with pytest.raises(ConfigError, match=r"weight=2.* must be in \[0, 1\)"):
        distill.run(taught("views.count=1", "teacher_filter=drop", "teacher_filter.weight=2"))


def test_without_a_soft_loss_a_filter_changes_nothing(taught):
    plain, filtered = taught("alpha=0"), taught("alpha=0", "teacher_filter=drop")
    assert plain.plan.student.key == filtered.plan.student.key


def test_from_the_cache_as_beside_the_teacher_in_two_views(taught, capsys):
    session = taught("views.count=2", "loss=mlkd")
    assert session.plan.views_per_sample == 2
    cached = distill.run(session)
    assert "1,226 samples in 2 views a step × 3 epochs" in capsys.readouterr().err
    online = distill.run(taught("views.count=2", "loss=mlkd", "teacher_source=online"))
    difference = np.linalg.norm(weights(cached) - weights(online)) / np.linalg.norm(weights(cached))
    assert difference < 1e-4


def test_where_there_is_one_view_it_is_said_and_trained_with_that(taught, capsys):
    session = taught("views.count=1", "loss=mlkd")
    assert session.plan.views_per_sample == 1
    distill.run(session)
    said = capsys.readouterr().err
    assert "loss=mlkd wants 2 views of a sample in a step; there is one: set views.count=8" in said
    assert "1,226 samples × 3 epochs" in said


def test_views_that_never_come_back_are_two_new_ones_in_each_step(taught):
    session = taught("views.count=null", "loss=mlkd", "student.epochs=1")
    assert session.plan.views_per_sample == 2
    assert np.isfinite(weights(distill.run(session))).all()


def test_one_view_can_be_asked_for(taught):
    one, two = taught("views.count=2", "loss=mlkd", "loss.views=1"), taught("views.count=2", "loss=mlkd")
    assert one.plan.views_per_sample == 1 and one.plan.student.key != two.plan.student.key
