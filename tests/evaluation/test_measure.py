"""Measuring for real: what is read, what is run, and what the report says of it."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "pipeline"))  # for `tool`

from tool import QUICK, contents, new_session

from distill_cli.errors import ArtifactError
from distill_cli.evaluation.metrics import predict_all
from distill_cli.models.mlp import Mlp
from distill_cli.stages import distill as distill_stage
from distill_cli.stages import evaluate, gen_soft_labels, train_teacher
from distill_cli.stages.jobs import measure

SMALL = (*QUICK, "views.count=2", "evaluate.pictures=3")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A directory with everything but a report."""
    directory = tmp_path_factory.mktemp("made")
    session = new_session(directory, *SMALL)
    for stage in (train_teacher, gen_soft_labels, distill_stage):
        stage.run(session)
    distill_stage.run_baseline(session)
    return directory


@pytest.fixture
def place(made, tmp_path) -> Path:
    shutil.copytree(made / "artifacts", tmp_path / "artifacts")
    return tmp_path


@pytest.fixture
def shown_to(monkeypatch) -> list[str]:
    """The models that have seen the test pictures, by their class."""
    seen: list[str] = []

    def watched(model, *arguments):
        seen.append(type(model).__name__)
        return predict_all(model, *arguments)

    monkeypatch.setattr(measure, "predict_all", watched)
    return seen


def report_of(directory: Path, *words: str) -> dict:
    result = evaluate.run(new_session(directory, *SMALL, *words))
    return json.loads((result.place.directory / "report.json").read_text())


def test_the_teacher_is_not_run_where_its_soft_labels_say_what_it_thinks(place, shown_to):
    report = report_of(place)
    assert shown_to == [Mlp.__name__] * 2
    assert report["settings"]["teacher's test logits"] == "from its soft labels, float16"
    shutil.rmtree(next(place.glob("artifacts/soft_labels/*/test")))
    asked = report_of(place)
    assert len(shown_to) == 5 and shown_to[2] != Mlp.__name__
    assert asked["settings"]["teacher's test logits"] == "computed here"
    cached, computed = (found["models"]["teacher"] for found in (report, asked))
    assert cached["top1"] == computed["top1"] and cached["samples"] == computed["samples"] == 429
    assert cached["nll"] == pytest.approx(computed["nll"], rel=1e-3)
    for name in ("macs", "parameters", "file_bytes", "validation_top1"):
        assert cached[name] == computed[name]
    agreement = [found["models"]["student"]["agreement"] for found in (report, asked)]
    assert agreement[0] == agreement[1]


def test_whether_the_cache_was_read_is_in_the_key(place):
    session = new_session(place, *SMALL)
    cached, labels = session.plan.evaluation(), session.plan.labels.place
    assert cached.identity["teacher_logits"] == labels.key
    next(labels.directory.glob("test/clean/*.npy")).unlink()
    computed = session.plan.evaluation()
    assert computed.identity["teacher_logits"] is None and computed.key != cached.key
    shutil.rmtree(labels.directory)
    assert session.plan.evaluation().key == computed.key


@pytest.mark.parametrize("words", [["soft_labels=top_k", "soft_labels.k=5"], ["soft_labels=int8"]])
def test_rows_that_are_not_every_logit_as_it_is_are_no_figures(place, words):
    session = new_session(place, *SMALL, *words)
    gen_soft_labels.run(session)
    assert session.plan.labels.is_complete() and session.plan.teacher_logits() is None


@pytest.mark.parametrize("words", [["teacher_source=online"], ["views.count=null"], ["alpha=0"]])
def test_soft_labels_that_this_config_does_not_train_with_are_left_alone(place, words):
    plan = new_session(place, *SMALL, *words).plan
    assert plan.teacher_logits() is None and plan.evaluation().identity["teacher_logits"] is None


def test_a_flipped_bit_in_the_rows_that_are_read_is_one_line(place):
    (rows,) = place.glob("artifacts/soft_labels/*/test/clean/*.npy")
    content = bytearray(rows.read_bytes())
    content[-1] ^= 1
    rows.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"block-00000\.npy is corrupt"):
        report_of(place)
    assert not list(place.glob("artifacts/evaluations/*"))


def test_the_same_artefacts_make_the_same_bytes(place):
    kept = []
    for _ in range(2):
        report_of(place)
        kept.append(contents(place / "artifacts/evaluations"))
        shutil.rmtree(place / "artifacts/evaluations")
    assert kept[0] == kept[1]
    assert {Path(name).name for name in kept[0]} == {
        "artifact.json",
        "report.html",
        "report.json",
        "report.md",
    }


UNTOLD = (
    *("gates.min_top1=0.1", "lock=my.lock", "logger=tensorboard", "export.samples=3", "format=hub"),
    *("hydra.run.dir=there", "hydra/launcher=basic", "+hydra.job.env_set.A=b", "trainer.workers=0"),
)


def test_words_that_change_nothing_in_a_report_change_none_of_its_bytes(place):
    words = ("gates.min_top1=0.1", "trainer.workers=0", "trainer.resident_bytes=0")
    kept = []
    for more in ((), words):
        session = new_session(place, *SMALL, *more)
        evaluate.run(replace(session, words=(*SMALL, *more)))
        kept.append(contents(place / "artifacts/evaluations"))
        shutil.rmtree(place / "artifacts/evaluations")
    assert kept[0] == kept[1]


@pytest.mark.parametrize("word", UNTOLD)
def test_the_command_leaves_out_what_changes_nothing(made, word):
    kept = (
        "gatesman=1",
        "precision=fp32",
        "device=cpu",
        "data=digits",
        "+data.more=1",
        "--config-dir",
        "gates",
    )
    session = replace(new_session(made, *SMALL), words=(word, *kept))
    assert evaluate._wherever(session).split() == ["distill", "run", *kept]


def test_a_model_is_loaded_once_and_the_diagnosis_has_figures_alone(place, monkeypatch):
    opened = []
    load = measure.trained_model
    monkeypatch.setattr(measure, "trained_model", lambda *given: opened.append(given[2].name) or load(*given))
    evidence = report_of(place)["evidence"]
    assert len(opened) == len(set(opened)) == 3
    assert evidence["epochs"] == 5 and "remedies" not in evidence
    assert all(value is None or isinstance(value, int | float) for value in evidence.values())


def test_the_report_holds_together(place):
    report = report_of(place)
    models, counts = report["models"], report["disagreements"]["counts"]
    assert report["schema"] == 2 and sum(counts.values()) == 429
    for role, ours in (("student", "student_right"), ("teacher", "teacher_right")):
        assert models[role]["top1"] * 429 == pytest.approx(counts["both_right"] + counts[ours])
        low, high = models[role]["top1_interval"]
        assert low < models[role]["top1"] < high
        assert sum(one["count"] for one in report["calibration"][role]) == 429
        right = sum(one[role] * one["samples"] for one in report["per_class"])
        assert right == pytest.approx(models[role]["top1"] * 429)
    paired = report["comparison"]["mcnemar"]
    gained = paired["student_only"] - paired["baseline_only"]
    assert report["comparison"]["gain"] * 429 == pytest.approx(gained)
    assert [len(report["curves"][role]) for role in ("teacher", "student", "baseline")] == [3, 5, 5]
    chain = [step["role"] for step in report["provenance"]]
    assert chain == ["teacher", "soft labels", "student", "baseline", "report"]
    assert all(step["build"] is None for step in report["provenance"])  # nothing that a clock has said


def test_what_is_timed_comes_with_when_and_where_it_was_built(place):
    report = report_of(place, "evaluate.latency=true")
    notes = {step["role"]: step["build"] for step in report["provenance"]}
    assert notes["student"]["seconds"]["total"] > 0 and "torch" in notes["teacher"]["environment"]
    assert notes["soft labels"] is None and notes["report"] is None
    assert report["comparison"]["latency_saved"] < 1


def test_a_student_that_is_its_own_baseline_has_a_report_without_one(place):
    report = report_of(place, "alpha=0")
    assert report["models"]["baseline"] is None and report["comparison"]["mcnemar"] is None
    assert [step["role"] for step in report["provenance"]] == ["teacher", "student", "report"]
    assert report["diagnosis"] == [] and report["evidence"] == {}


def test_pictures_of_disagreements_lie_in_the_page_alone(place):
    report = report_of(place)
    (folder,) = place.glob("artifacts/evaluations/[!.]*")
    listed = [one for kind in ("student_right", "teacher_right") for one in report["disagreements"][kind]]
    assert 0 < len(listed) <= 6
    assert (folder / "report.html").read_text().count("data:image/png") == len(listed)
    assert "data:image" not in (folder / "report.json").read_text()


def test_the_command_is_in_the_report_but_not_where_its_files_went(place, capsys):
    session = new_session(place, *SMALL)
    words = ("seed=0", "paths.data='a b'", "paths.artifacts='here/a b'", "paths.outputs=there")
    result = evaluate.run(replace(session, words=words))
    report = json.loads((result.place.directory / "report.json").read_text())
    assert report["command"] == "distill run seed=0 'paths.data='\"'\"'a b'\"'\"''"
    said = capsys.readouterr()
    assert "(McNemar p" in said.err and "95% interval" in said.out


def test_the_page_on_reports_names_every_field_and_every_figure(place):
    report = report_of(place, "evaluate.latency=true")
    text = (Path(__file__).parents[2] / "docs/reports.md").read_text("utf-8").partition("schema 2")[2]
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    named = {field: what for fields, what in rows for field in re.findall(r"`(\w+)`", fields)}
    assert named.keys() - {"bias"} == report.keys()  # which is there where something was added
    for part, inside in (
        ("models", report["models"]["student"]),
        ("comparison", report["comparison"]),
        ("comparison", report["comparison"]["mcnemar"]),
        ("calibration", report["calibration"]["student"][0]),
        ("per_class", report["per_class"][0]),
        ("confusion", report["confusion"][0]),
        ("disagreements", report["disagreements"]["teacher_right"][0]),
        ("disagreements", report["disagreements"]["counts"]),
        ("provenance", report["provenance"][0]),
    ):
        assert inside.keys() <= set(re.findall(r"`(\w+)`", named[part])), part
