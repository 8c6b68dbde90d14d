"""The model card: what the Hub reads, what people read, and what stays at home."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from students import data_set

from distill_cli.artifacts.files import make_directory, write_json
from distill_cli.artifacts.store import Place
from distill_cli.config.schema import Config
from distill_cli.data.transfer import TransferSet
from distill_cli.export.card import card

MAKES_IT = "distill run temperature=2 +student.model.note=x"
OF_THAT_DAY = (
    "paths.data=/home/me/secret device=cuda hydra.job.chdir=true ++hydra/launcher=joblib gates.top1=0.5 "
    "trainer.checkpoint_every=1 evaluate.latency=false lock=/home/me/lock.json export.samples=3 format=hub "
    "+logger.mine.uri=http://me:secret@host ~logger compile=true"
)
COMMAND = f"{MAKES_IT} {OF_THAT_DAY}"
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

    distils = is_taught = uses_alpha = uses_temperature = True
    teacher_is_online = False
    peers = ()
    average = ("logits", (1.0,))

    def __init__(self, root: Path, config: Config, report: dict | None) -> None:
        self.first, self.links, self.members = self, (self,), (self,)
        self.data = data_set((3, 8, 8))
        self.config = config
        self.transfer = TransferSet(np.arange(len(self.data.train)), len(self.data.train))
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


def test_a_bias_of_the_report_is_not_in_the_weights_and_so_not_in_the_card(toy):
    student = {**REPORT["models"]["student"], "top1_uncorrected": 0.6}
    text = card(toy({**REPORT, "bias": {"3": 3.5}, "models": {**REPORT["models"], "student": student}}))
    assert table(text)["test accuracy"] == ["60.00%", "85.00%", "97.00%"]
    assert table(text)["test NLL (nats)"][0].strip() == "" and table(text)["parameters"][0] == "1,810"
    assert front_matter(text)["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.6


def test_it_says_which_part_of_train_the_student_has_seen(toy):
    plan = toy()
    plan.transfer = TransferSet(np.arange(3), len(plan.data.train), fraction=0.5)
    assert "Trained on 3 pictures" in card(plan) and "train samples: a share of 0.5" in card(plan)


def test_a_report_without_a_baseline_has_no_column_for_it(toy):
    report = {"schema": 1, "models": {**REPORT["models"], "baseline": None}}
    text = card(toy(report))
    assert table(text)["test accuracy"] == ["90.00%", "97.00%"] and "baseline" not in text


def test_without_a_report_there_is_what_the_student_knows(toy):
    text = card(toy(None))
    assert table(text)["test accuracy"] == ["87.50%"]
    assert front_matter(text)["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.875


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
    assert f"given the same data:\n\n```sh\n{MAKES_IT}\n```" in text and plan.student.key in text


def test_it_names_every_teacher_and_how_they_were_averaged(toy, tmp_path):
    plan = toy()
    two = [
        SimpleNamespace(teacher=Place(tmp_path, "teachers", name, {"role": name})) for name in ("big", "wide")
    ]
    plan.members, plan.average = two, ("probabilities", (2 / 3, 1 / 3))
    names = " and ".join(member.teacher.name for member in two)
    assert f"- teacher: {names}, the mean of their probabilities with weights 0.667, 0.333\n" in card(plan)


def test_it_names_the_students_between_and_the_filter(toy, tmp_path):
    plan = toy()
    between = Place(tmp_path, "students", "middle", {"role": "middle"})
    plan.links = (SimpleNamespace(role="assistant cnn", student=between), plan)
    plan.config = replace(plan.config, teacher_filter={"name": "drop"})
    text = card(plan)
    assert f"- assistant cnn: {between.name}\n" in text and "- teacher filter: drop\n" in text


def test_a_student_of_peers_or_of_nobody_has_no_teacher(toy):
    plan = toy()
    plan.is_taught, plan.peers = False, ({"name": "mlp"}, {"name": "cnn"})
    text = card(plan)
    assert (
        "Trained without a teacher, from more than the labels:" in text and "- peers: mlp and cnn\n" in text
    )
    assert "its teacher" not in text and "- teacher" not in text and "- soft labels" not in text


def test_what_the_loss_does_not_use_is_not_said(toy):
    plan = toy()
    assert "- alpha" in card(plan) and "- temperature" in card(plan)
    plan.uses_alpha = plan.uses_temperature = False
    assert "- alpha" not in card(plan) and "- temperature" not in card(plan)


def test_of_files_it_names_no_place(toy):
    plan = toy()
    words = (
        "--config-dir /home/me/conf data=folder data.path=/home/me/photos 'data.file=\"/home/me/a b.npz\"' "
        "++teacher.checkpoint=~/big.pt"
    )
    write_json(plan.student.directory / "build.json", {"command": f"distill run {words}"})
    text = card(plan)
    kept = "distill run data=folder data.path=photos 'data.file=\"a b.npz\"' ++teacher.checkpoint=big.pt"
    assert f"```sh\n{kept}\n```" in text and "given the same data and files of its own configuration" in text


def test_a_student_without_notes_of_its_build_has_a_card_too(toy):
    plan = toy()
    (plan.student.directory / "build.json").unlink()
    assert "To reproduce it" not in card(plan) and plan.student.key in card(plan)


def test_it_tells_nothing_of_the_machine_it_was_made_on(toy):
    text = card(toy())
    words = ("/home/me", "cuda", "hydra", "gates", "lock=", "trainer", "evaluate", "logger", "secret")
    assert not [word for word in words if word in text]


def test_nothing_is_left_open_in_it(toy):
    text = card(toy())
    assert not any(mark in text for mark in ("{{", "{%", "None", "\n\n\n"))
