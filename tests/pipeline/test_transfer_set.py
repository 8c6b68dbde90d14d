"""Students of a part of train, with a teacher that has seen all of it; and a bias for what they have not seen."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tool import distill as typed
from tool import new_session

from distill_cli.data.splits import ArraySplit
from distill_cli.errors import ConfigError, GateFailed
from distill_cli.evaluation.report import markdown
from distill_cli.hydra_app.launch import run
from distill_cli.models.artifact import load_model
from distill_cli.stages import distill, evaluate, gates, gen_soft_labels, train_teacher
from distill_cli.stages import run as run_stage
from distill_cli.stages.changes import changes
from distill_cli.stages.lock import lock_of
from distill_cli.stages.session import Session
from distill_cli.trackers.tracking import Tracking

SETTINGS = (
    "soft_labels=float32",
    "precision=fp32",
    "teacher=mlp",
    "teacher.epochs=8",
    "teacher.ema=null",
    "student.epochs=20",
    "views=shift",
    "views.mixing=none",
    "views.count=2",
    "evaluate.latency=false",
    "evaluate.diagnosis=0",
)
WITHOUT_3 = "transfer.without=[3]"


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A directory with a teacher, its labels, and a student and a baseline without a 3; makes sessions there."""
    directory = tmp_path_factory.mktemp("taught")

    def session(*overrides):
        return new_session(directory, *SETTINGS, *overrides)

    train_teacher.run(session())
    gen_soft_labels.run(session())
    distill.run(session(WITHOUT_3))
    distill.run_baseline(session(WITHOUT_3))
    return session


def weights(place) -> np.ndarray:
    state = load_file(place.directory / "model.safetensors")
    return np.concatenate([value.numpy().ravel() for value in state.values()])


def report_of(session) -> dict:
    result = evaluate.run(session)
    return json.loads((result.place.directory / "report.json").read_text())


def share_right(plan, split, bias=None) -> float:
    """Of a split, as its artefact answers."""
    images = torch.from_numpy(split.images.astype(np.float32)) / 255
    channels = (1, -1, 1, 1)
    pictures = (images - torch.tensor(plan.data.mean).view(channels)) / torch.tensor(plan.data.std).view(
        channels
    )
    with torch.no_grad():
        logits = load_model(plan.student.directory)(pictures)
    for number, value in (bias or {}).items():
        logits[:, number] += value
    return (logits.argmax(1).numpy() == split.labels).mean()


def test_teacher_and_soft_labels_are_there_already_and_are_of_all_samples(taught):
    session = taught(WITHOUT_3)
    labelled = gen_soft_labels.run(session)
    assert labelled.status == "up-to-date" and labelled.metrics["samples"] == 1226
    assert session.plan.teacher.key == taught().plan.teacher.key


def test_from_the_cache_as_beside_the_teacher(taught):
    cached = taught(WITHOUT_3).plan.student
    online = distill.run(taught(WITHOUT_3, "teacher_source=online")).place
    np.testing.assert_allclose(weights(cached), weights(online), rtol=1e-3, atol=1e-4)


def test_what_is_not_in_the_transfer_set_has_no_say_in_what_a_baseline_becomes(taught, tmp_path):
    """Other pictures and other labels there, and the same weights."""
    part = "transfer.without=[3,5]"
    session = new_session(tmp_path, *SETTINGS, part)
    data, train = session.plan.data, session.plan.data.train
    images, is_out = train.images.copy(), np.isin(train.labels, (3, 5))
    images[is_out] = 255 - images[is_out]
    other = replace(data, train=ArraySplit(images, np.where(train.labels == 3, 5, train.labels)))
    changed = distill.run_baseline(replace(session, plan=replace(session.plan, data=other))).place
    plain = distill.run_baseline(taught(part)).place
    assert changed.key != plain.key and np.array_equal(weights(changed), weights(plain))


def test_a_student_of_soft_labels_alone_names_what_it_has_never_seen_and_the_baseline_does_not(taught):
    session = taught(WITHOUT_3)
    share = {one["class"]: one for one in report_of(session)["per_class"]}["3"]
    assert share["student"] > 0.3 and share["baseline"] == 0


def test_the_announcement_tells_how_many_samples_there_are(taught, capsys):
    distill.run(taught("transfer.fraction=0.2", "student.epochs=1"))
    samples = len(taught("transfer.fraction=0.2").plan.transfer)
    assert f"{samples} of 1,226 samples × 1 epochs" in capsys.readouterr().err


def test_the_report_names_the_transfer_set_in_every_form(taught):
    report = report_of(taught(WITHOUT_3))
    assert report["settings"]["transfer set"] == "1,098 of 1,226 train samples: without 3"
    assert "- transfer set: `1,098 of 1,226 train samples: without 3`" in markdown(report)


def test_the_diagnosis_looks_at_what_the_student_was_shown(taught):
    session = taught(WITHOUT_3, "evaluate.diagnosis=5000")
    plan = session.plan
    evidence = report_of(session)["evidence"]
    assert evidence["train_top1"] == share_right(plan, plan.data.train.take(plan.transfer.index))
    assert evidence["label_agreement"] is not None


def test_peers_and_students_that_remember_samples_learn_from_a_part(taught):
    for words in ("peers=mlp_24", "loss=self_distillation"):
        place = distill.run(taught("transfer.fraction=0.3", "student.epochs=2", words)).place
        assert np.isfinite(weights(place)).all()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["transfer.without=[4]"], 'transfer.without is ["4"], locked ["3"]'),
        ([], 'transfer.without is null, locked ["3"]'),
        ([WITHOUT_3, "transfer.fraction=0.5"], "transfer.fraction is 0.5, locked 1.0"),
        ([WITHOUT_3, "evaluate.bias={3: fit}"], 'evaluate.bias is {"3":"fit"}, locked null'),
    ],
)
def test_a_lock_names_the_option_that_was_typed(taught, words, line):
    evaluate.run(taught(WITHOUT_3))
    found, *_ = changes(lock_of(taught(WITHOUT_3)), taught(*words).plan, {})
    assert found.what == line


ONE, NONE = ("transfer.classes=[7]",), ("data.labeled_fraction=0.1", "transfer.without=[0,1,2,3,4,5,6,7,8,9]")


@pytest.mark.parametrize("words", [ONE, NONE], ids=["one class", "no label"])
def test_soft_labels_alone_need_no_two_classes_and_hard_ones_do(tmp_path, words):
    for alone in (("alpha=1",), ("loss=dist", "loss.hard_weight=0")):
        assert len(new_session(tmp_path, *SETTINGS, *words, *alone).plan.transfer) > 0
    for labelled in ((), ("alpha=0",), ("loss=dist",), ("loss=self_distillation", "alpha=1")):
        with pytest.raises(ConfigError, match=r"students would see (one class alone|no sample with a label)"):
            new_session(tmp_path, *SETTINGS, *words, *labelled)
    output = tmp_path / "out"
    where = (f"paths.artifacts={tmp_path / 'artifacts'}", f"hydra.run.dir={output}")
    assert run("run", [*SETTINGS, *words, "alpha=1", *where]) == 2
    said = json.loads((output / "error.json").read_text())["message"]
    assert "the baseline would see" in said and "type distill distill" in said
    assert not list(tmp_path.glob("artifacts/[!.]*/*"))


# Bias.


def test_a_bias_is_in_every_figure_of_the_student_and_in_none_of_the_others(taught):
    plan = taught(WITHOUT_3).plan
    plain, moved = (report_of(taught(WITHOUT_3, *words)) for words in ([], ["evaluate.bias={3: 2.5}"]))
    for role in ("teacher", "baseline"):
        assert moved["models"][role] == plain["models"][role]
    found = moved["models"]["student"]
    assert found["top1"] == share_right(plan, plan.data.test, {3: 2.5})
    assert found["validation_top1"] == share_right(plan, plan.data.validation, {3: 2.5})
    assert found["top1_uncorrected"] == plain["models"]["student"]["top1"] != found["top1"]
    for figure in ("nll", "ece", "agreement", "kl_to_teacher"):
        assert found[figure] != plain["models"]["student"][figure]
    assert moved["per_class"][3]["student"] > plain["per_class"][3]["student"]
    assert moved["comparison"]["gain"] == found["top1"] - plain["models"]["baseline"]["top1"]
    assert "top1_uncorrected" not in plain["models"]["student"] and "bias" not in plain


def test_a_bias_that_is_fitted_is_told_so_that_it_can_be_typed(taught):
    fitted = report_of(taught(WITHOUT_3, "evaluate.bias={3: fit}"))
    value = fitted["bias"]["3"]
    assert value > 0 and fitted["bias"] == {"3": value}
    again = report_of(taught(WITHOUT_3, f"evaluate.bias={{3: {value}}}"))
    assert again["models"] == fitted["models"] and again["per_class"] == fitted["per_class"]
    plain = report_of(taught(WITHOUT_3))["models"]["student"]
    assert fitted["models"]["student"]["validation_top1"] > plain["validation_top1"]


def test_the_line_stands_in_terminal_markdown_and_page(taught, capsys):
    session = taught(WITHOUT_3, "evaluate.bias={3: fit, 7: -0.5}")
    result = evaluate.run(session)
    said = capsys.readouterr().err
    value = json.loads((result.place.directory / "report.json").read_text())["bias"]["3"]
    bias = f"3 {value:+g}, 7 -0.5, of which 3 fitted on the 142 validation samples of its validation top-1"
    for text in (said, *((result.place.directory / f"report.{form}").read_text() for form in ("md", "html"))):
        assert f"ogits of the student corrected: {bias} (test top-1 " in text


@pytest.mark.parametrize("stage", [run_stage, evaluate], ids=["run", "evaluate"])
def test_what_is_returned_has_the_bias_in_it_so_that_a_search_sees_it(taught, tmp_path, monkeypatch, stage):
    plan, bias = taught(WITHOUT_3).plan, {3: -50, 1: -50}
    sessions, found = [taught(WITHOUT_3), taught(WITHOUT_3, f"evaluate.bias={bias}")], []
    for session in sessions:
        monkeypatch.setattr(Session, "of", lambda _, session=session: session)
        found.append(stage.main(None, tmp_path))
    assert found == pytest.approx([share_right(plan, plan.data.validation, added) for added in ({}, bias)])
    assert found[1] < found[0]


def test_a_chain_compares_students_as_they_were_trained_and_a_diagnosis_explains_them(taught):
    """There is no bias for those between, nor on the train part."""
    words = (WITHOUT_3, "generations=2", "student.epochs=2", "evaluate.diagnosis=200")
    for link in taught(*words).plan.links:
        gen_soft_labels.run(replace(taught(*words), plan=link))
        distill.run(replace(taught(*words), plan=link))
    plain, moved = (report_of(taught(*words, *more)) for more in ([], ["evaluate.bias={3: 2.5}"]))
    assert moved["chain"] == plain["chain"] and moved["evidence"] == plain["evidence"]
    assert moved["diagnosis"] == plain["diagnosis"]
    assert moved["models"]["student"]["top1"] != plain["models"]["student"]["top1"]


def test_trackers_have_the_bias_as_it_was_fitted(taught, monkeypatch):
    said = []
    monkeypatch.setattr(Tracking, "final", lambda self, figures: said.append(figures))
    report = report_of(taught(WITHOUT_3, "evaluate.bias={3: fit, 5: 0.125}"))
    assert [figures["bias/3"] for figures in said] == [report["bias"]["3"]] and said[0]["bias/5"] == 0.125


def test_results_and_gates_go_by_the_corrected_figures(taught):
    words = (WITHOUT_3, "evaluate.bias={3: -50, 1: -50}")
    result = evaluate.run(taught(*words))
    assert result.metrics["top1"] < result.metrics["top1_uncorrected"] - 0.05
    least = (result.metrics["top1"] + result.metrics["top1_uncorrected"]) / 2
    judged = evaluate.run(taught(*words, f"gates.min_top1={least:.4f}"))
    with pytest.raises(GateFailed, match=f"gates.min_top1={least:.4f}: failed"):
        gates.hold_gates(judged, None)


@pytest.mark.parametrize(
    "form", ["evaluate.bias={3: 3.5}", "evaluate.bias={3:3.5}", "evaluate.bias.3=3.5", "+evaluate.bias.3=3.5"]
)
def test_the_forms_of_the_command_line_are_one(taught, form):
    assert taught(form).plan.bias == {"3": 3.5}


def test_a_bias_cannot_be_fitted_without_a_validation_part(taught):
    with pytest.raises(ConfigError, match=r"evaluate.bias=fit: .* set data.validation=0.1"):
        taught("evaluate.bias=fit", "data.validation=0")
    assert taught("evaluate.bias={3: 1}", "data.validation=0").plan.bias == {"3": 1.0}


def test_a_class_that_is_not_there_is_one_line_and_exit_code_2(tmp_path):
    done = typed("run", "transfer.without=[11]", "views.mixing=none", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("distill: error: transfer.without=[11]: there is no class 11")
    assert done.stderr.count("\n") == 1
