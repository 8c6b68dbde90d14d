"""`gates.reference`: an earlier report, what it allows, and which reports are none."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from distill_cli.artifacts.store import Place
from distill_cli.config.schema import Gates
from distill_cli.errors import ArtifactError, ConfigError
from distill_cli.evaluation.gates import judge
from distill_cli.evaluation.reference import MeasuredOn, Reference
from distill_cli.evaluation.report import SCHEMA

DATA = "digits, 429 test pictures"
NONE = Gates(**dict.fromkeys(field.name for field in fields(Gates)))
EARLIER = {
    "schema": SCHEMA,
    "models": {"student": {"top1": 0.9790, "top1_interval": [0.9606, 0.9889]}},
    "settings": {"data": DATA},
    "per_class": [{"class": "0", "samples": 200}, {"class": "1", "samples": 229}],
    "provenance": [
        {"role": "teacher", "identity": {}},
        {"role": "student", "identity": {"data": {"test": "7e57", "classes": "c1a5", "labels": "of all"}}},
    ],
}
ON = MeasuredOn(DATA, "7e57", "c1a5", (200, 229))


def written(path: Path, document: object = EARLIER) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def artefact(root: Path) -> Place:
    """An evaluation as the store leaves it."""
    place = Place(root, "evaluations", "mlp", {"stage": "evaluation"})
    written(place.work / "report.json")
    place.publish({"metrics": {}})
    return place


@pytest.mark.parametrize(
    ("top1", "passed"),
    [(0.99, True), (0.9790, True), (0.97, True), (0.9606, True), (0.9605, False), (0.5, False)],
)
def test_today_may_be_worse_by_the_confidence_interval_and_no_more(tmp_path, top1, passed):
    reference = Reference.read(written(tmp_path / "report.json"))
    (verdict,) = judge(NONE, {"models": {"student": {"top1": top1}, "baseline": None}}, reference)
    assert verdict.gate == "reference" and verdict.passed is passed and verdict.value == top1


def test_the_line_says_what_was_reached_and_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(Path("earlier.json"))
    report = {"models": {"student": {"top1": 0.95}, "baseline": None}}
    (verdict,) = judge(NONE, report, Reference.read("earlier.json"))
    assert str(verdict) == (
        "gates.reference=earlier.json: failed (0.9500, below 0.9606: "
        "the reference has 0.9790, less its confidence interval)"
    )


def test_a_report_a_directory_with_one_and_an_artefact_are_the_same_reference(tmp_path):
    copied = written(tmp_path / "kept/report.json")
    place = artefact(tmp_path / "artifacts")
    found = [Reference.read(str(path)) for path in (copied, tmp_path / "kept", place.directory)]
    assert {(one.top1, one.low, one.on) for one in found} == {(0.9790, 0.9606, ON)}


def test_a_damaged_report_in_an_artefact_is_no_reference(tmp_path):
    directory = artefact(tmp_path).directory
    report = directory / "report.json"
    report.write_text(report.read_text().replace("0.9606", "0.0606"))
    with pytest.raises(ArtifactError, match="corrupt"):
        Reference.read(str(directory))


def test_a_reference_of_another_test_part_is_refused(tmp_path):
    reference = Reference.read(written(tmp_path / "report.json"))
    reference.require(ON)
    with pytest.raises(ConfigError, match="measured on digits, 429 test pictures, and here it is mnist"):
        reference.require(replace(ON, data="mnist, 10,000 test pictures"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"pictures": "0ther"},
            "other test pictures of digits; accuracies of different test parts cannot be",
        ),
        ({"classes": "0ther"}, "other class names of digits;"),
        ({"samples": (201, 228)}, "other test labels of digits;"),
        ({"pictures": "0ther", "samples": (429, 0)}, "other test pictures and test labels of digits;"),
    ],
)
def test_a_test_part_of_the_same_name_and_size_is_known_by_what_is_in_it(tmp_path, change, named):
    reference = Reference.read(written(tmp_path / "report.json"))
    with pytest.raises(ConfigError, match=named):
        reference.require(replace(ON, **change))


def another(**changes) -> dict:
    return {**EARLIER, **changes}


def measured(**figures) -> dict:
    return another(models={"student": {**EARLIER["models"]["student"], **figures}})


@pytest.mark.parametrize(
    ("document", "kind", "line"),
    [
        (another(schema=0), ArtifactError, "is a report of schema 0; this version reads schema"),
        (
            another(schema=SCHEMA + 1),
            ArtifactError,
            f"is a report of schema {SCHEMA + 1}; this version reads",
        ),
        (another(models={"student": {"top1": 0.9}}), ArtifactError, "without the student's top1_interval"),
        (another(models=[]), ArtifactError, "without the student's top1_interval"),
        (measured(top1_interval=[True, "x"]), ArtifactError, "without the student's top1_interval"),
        (measured(top1_interval=["0.9", "1"]), ArtifactError, "without the student's top1_interval"),
        (measured(top1_interval=[-0.5, 0.9]), ArtifactError, "without the student's top1_interval"),
        (measured(top1_interval=[96.06, 98.89]), ArtifactError, "without the student's top1_interval"),
        (measured(top1=True), ArtifactError, "without the student's top1_interval"),
        (measured(top1=None), ArtifactError, "without the student's top1_interval"),
        (another(provenance=[]), ArtifactError, "without what it was measured on; make it again with"),
        (another(per_class=None), ArtifactError, "without what it was measured on; make it again with"),
        ({"schema": SCHEMA}, ArtifactError, "not a report of distill evaluate"),
        ([1, 2], ArtifactError, "not a report of distill evaluate"),
        ("{", ArtifactError, "not JSON; take another one for gates.reference"),
        (another(stage="run", artifact="a/b"), ConfigError, "a result, and no report; take a/b/report.json"),
    ],
)
def test_what_is_no_report_of_this_schema_is_refused_in_a_line(tmp_path, document, kind, line):
    path = written(tmp_path / "report.json", document)
    with pytest.raises(kind) as refused:
        Reference.read(path)
    assert path in str(refused.value) and line in str(refused.value) and "\n" not in str(refused.value)


def test_what_is_not_there_is_a_mistake_of_the_config(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        Reference.read(str(tmp_path / "report.json"))
    with pytest.raises(ConfigError, match=r"there is no report\.json in it"):
        Reference.read(str(tmp_path))
