"""The model card: what the Hub reads, what people read, and what stays at home."""

from pathlib import Path

import pytest
import yaml
from students import data_set

from distill_cli.artifacts.files import make_directory, write_json
from distill_cli.artifacts.store import Place
from distill_cli.config.schema import Config
from distill_cli.export.card import card

COMMAND = "distill run temperature=2 paths.data=/home/me/secret device=cuda hydra.job.chdir=true"
REPORT = {
    "schema": 2,
    "models": {
        "student": {
            "top1": 0.9,
            "nll": 0.25,
            "ece": None,
            "agreement": 0.95,
            "parameters": 1810,
            "curve": [1],
        },
        "baseline": {"top1": 0.85, "nll": 0.5, "parameters": 1810},
        "teacher": {"top1": 0.97, "nll": 0.125, "parameters": 74794},
    },
}


class ToyPlan:
    """A plan whose student, and whose report if there is one, lie in a directory."""

    distils = True
    teacher_is_online = False

    def __init__(self, root: Path, config: Config, report: dict | None) -> None:
        self.data = data_set((3, 8, 8))
        self.config = config
        self.teacher = Place(root, "teachers", "big", {"role": "teacher"})
        self.student = built(Place(root, "students", "small-t2", {"role": "student"}), {})
        self.report = Place(root, "evaluations", "small-t2", {"role": "report"})
        if report is not None:
            built(self.report, {"report.json": report})

    def evaluation(self) -> Place:
        return self.report


def built(place: Place, files: dict) -> Place:
    make_directory(place.work)
    for name, value in files.items():
        write_json(place.work / name, value)
    write_json(place.work / "build.json", {"command": COMMAND, "environment": {"torch": "2.15.0"}})
    place.publish({"metrics": {"test_top1": 0.875, "parameters": 1810}})
    return place


@pytest.fixture
def toy(tmp_path, digits_config):
    return lambda report=REPORT: ToyPlan(tmp_path, digits_config, report)


def front_matter(text: str) -> dict:
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


def table(text: str) -> dict[str, list[str]]:
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {name: cells for name, *cells in rows}


def test_the_hub_understands_its_front_matter(toy):
    hub = pytest.importorskip("huggingface_hub")
    made = hub.ModelCard(card(toy()))
    (result,) = made.data.eval_results
    assert (made.data.model_name, result.dataset_name, result.dataset_split) == ("small-t2", "toy", "test")
    assert (result.task_type, result.metric_type, result.metric_value) == (
        "image-classification",
        "accuracy",
        0.9,
    )
    assert made.data.library_name == "distill-cli" and "knowledge-distillation" in made.data.tags
    assert hub.ModelCard(str(made)).data.to_dict() == made.data.to_dict()


def test_it_claims_no_licence(toy):
    assert "license" not in front_matter(card(toy()))


def test_the_figures_are_those_of_the_report(toy):
    rows = table(card(toy()))
    assert rows["test accuracy"] == ["90.00%", "85.00%", "97.00%"]
    assert rows["agrees with the teacher"][0] == "95.00%"
    assert rows["parameters"] == ["1,810", "1,810", "74,794"]
    assert "test calibration error" not in rows  # nobody has a figure for it


def test_a_report_without_a_baseline_has_no_column_for_it(toy):
    report = {"schema": 1, "models": {**REPORT["models"], "baseline": None}}
    text = card(toy(report))
    assert table(text)["test accuracy"] == ["90.00%", "97.00%"] and "baseline" not in text


def test_without_a_report_there_is_what_the_student_knows(toy, capsys):
    text = card(toy(None))
    assert table(text)["test accuracy"] == ["87.50%"]
    assert front_matter(text)["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.875
    assert "no report of this student" in capsys.readouterr().err


def test_it_says_how_it_was_made_and_how_to_make_it_again(toy):
    plan = toy()
    text = card(plan)
    for fact in (
        f"teacher: {plan.teacher.name}",
        "loss: kd",
        "temperature: 2\n",
        "alpha: 0.9",
        "views: mixup, stored views of a sample: 8",
    ):
        assert f"- {fact}" in text
    assert "```sh\ndistill run temperature=2\n```" in text and plan.student.key in text


def test_it_tells_nothing_of_the_machine_it_was_made_on(toy):
    text = card(toy())
    assert "/home/me" not in text and "cuda" not in text and "hydra" not in text


def test_nothing_is_left_open_in_it(toy):
    text = card(toy())
    assert not any(mark in text for mark in ("{{", "{%", "None", "\n\n\n"))
