"""Students that teach students: assistants between teacher and student, and generations of one student."""

import json
import logging
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tool import COMMAND, contents, distill

import distill_cli
from distill_cli.artifacts.store import read_manifest
from distill_cli.data.loader import Loader
from distill_cli.errors import ArtifactError, ConfigError
from distill_cli.hydra_app.launch import run
from distill_cli.stages import distill as distill_stage
from distill_cli.stages import evaluate, gen_soft_labels

SMALL = (
    *("teacher.epochs=3", "teacher.ema=0.9", "views.count=2", "student.epochs=40"),
    *("trainer.checkpoint_every=0.05", "evaluate.latency=false", "evaluate.diagnosis=100"),
)
TWO = ("generations=2", *SMALL)


@pytest.fixture(scope="module")
def born_again(tmp_path_factory):
    """A directory in which two generations were made, and what the command said."""
    directory = tmp_path_factory.mktemp("born-again")
    done = distill("run", *TWO, cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory, done


@pytest.fixture
def place(born_again, tmp_path) -> Path:
    shutil.copytree(born_again[0] / "artifacts", tmp_path / "artifacts")
    return tmp_path


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """`distill VERB …` within this process: its exit code, and its lines on stderr."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def command(verb: str, *words: str) -> tuple[int, str]:
        return run(verb, words), capsys.readouterr().err

    yield command
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def result_of(directory: Path) -> dict:
    return json.loads(max(directory.glob("outputs/run/*/result.json")).read_text())


def report_of(directory: Path) -> dict:
    return json.loads(
        (Path(result_of(directory)["stages"]["evaluate"]["artifact"]) / "report.json").read_text()
    )


# What is taught by whom.


def test_the_first_generation_is_the_student_without_generations(session):
    plain, chained = session().plan, session("generations=3").plan
    assert chained.first.student.key == plain.student.key
    assert chained.links[1].student.key == session("generations=2").plan.student.key
    assert chained.first.labels.place.key == plain.labels.place.key


def test_no_link_is_its_own_teacher_or_begins_as_an_equal_model_did(session):
    links = session("generations=3", "assistant=[mlp_24,mlp]").plan.links
    assert len({link.student.key for link in links}) == len(links) == 5
    assert all(link.student.key != link.teacher.key for link in links)
    begins = [(link.config.student.model["name"], link.config.student.seed) for link in links]
    assert begins == [("mlp_24", 0), ("mlp", 0), ("mlp_24", 1), ("mlp_24", 2), ("mlp_24", 3)]


def test_each_link_says_what_it_is_and_learns_from_the_one_before(session):
    links = session("generations=2", "assistant=[mlp,mlp]").plan.links
    assert [link.role for link in links] == [
        *("assistant mlp", "assistant mlp-2"),
        *("generation 1 of 2", "generation 2 of 2"),
    ]
    assert [link.teacher.key for link in links[1:]] == [link.student.key for link in links[:-1]]
    assert session("assistant=mlp").plan.role == session().plan.role == "student"


def test_at_alpha_zero_there_is_no_chain(session):
    plan = session("alpha=0", "generations=3", "assistant=mlp").plan
    assert plan.links == (plan,) and plan.student.key == session("alpha=0").plan.student.key


@pytest.mark.parametrize("chain", ["generations=2", "assistant=mlp"])
@pytest.mark.parametrize("loss", ["tf_kd", "self_distillation"])
def test_a_loss_without_a_teacher_has_no_chain(session, chain, loss):
    with pytest.raises(ConfigError, match=f"loss={loss}: learns from no teacher.*leave them out"):
        session(f"loss={loss}", chain)


def test_weights_of_an_ensemble_are_those_of_the_first_link(session):
    first, second = session("teacher=[cnn_digits,mlp]", "teacher.weights=[3,1]", "generations=2").plan.links
    assert first.average == ("logits", (0.75, 0.25)) and second.average == ("logits", (1.0,))
    with pytest.raises(ConfigError, match=r"teacher\.weights=\[3, 1, 1\]: must be 2 numbers"):
        session("teacher=[cnn_digits,mlp]", "teacher.weights=[3,1,1]", "generations=2")


# Made in one command.


def test_the_command_says_which_link_it_is_at(born_again):
    said = born_again[1].stderr
    lines = [
        "teacher: built",
        "soft labels: built",
        "generation 1 of 2: built",
        "soft labels of generation 1 of 2: built",
        "generation 2 of 2: built",
        "baseline: built",
    ]
    assert [said.index(line) for line in lines] == sorted(said.index(line) for line in lines)
    assert (
        "next: distill run generations=2" in said
    )  # a sweep of `distill distill` would have no first generation


def test_a_generation_has_other_weights_than_its_teacher(born_again):
    stages = result_of(born_again[0])
    artifacts = [stages["before"][0]["distill"]["artifact"], stages["stages"]["distill"]["artifact"]]
    weights = [(Path(artifact) / "model.safetensors").read_bytes() for artifact in artifacts]
    assert weights[0] != weights[1]


def test_the_report_has_every_link_and_all_generations_together(born_again):
    directory, done = born_again
    report = report_of(directory)
    assert [row["role"] for row in report["chain"]] == [
        *("teacher", "generation 1 of 2"),
        *("generation 2 of 2", "all 2 generations"),
    ]
    assert report["chain"] == result_of(directory)["chain"]
    for row, role in ((0, "teacher"), (2, "student")):
        shared = report["chain"][row].keys() & report["models"][role].keys()
        assert {"top1", "nll", "ece", "parameters", "top1_interval"} <= shared
        assert all(report["chain"][row][name] == report["models"][role][name] for name in shared)
    assert "From the teacher to the student" in done.stdout
    roles = [step["role"] for step in report["provenance"]]
    assert roles == [
        *("teacher", "soft labels", "generation 1 of 2", "soft labels of generation 1 of 2"),
        *("student", "baseline", "report"),
    ]


def test_all_generations_together_are_the_mean_of_their_probabilities(born_again, session):
    report, data = report_of(born_again[0]), session(*TWO).plan.data
    names = [row["artifacts"] for row in report["chain"][1:]]
    assert names[2] == [*names[0], *names[1]]
    (batch,) = Loader(data.test, data, torch.device("cpu")).clean(len(data.test))
    folder = born_again[0] / "artifacts/students"
    said = [distill_cli.load_model(folder / name)(batch.inputs).double().softmax(1) for name in names[2]]
    mean = torch.stack(said).mean(0)
    together = report["chain"][3]
    assert together["top1"] == (mean.argmax(1) == batch.labels).double().mean().item()
    nll = -mean[torch.arange(len(mean)), batch.labels].log().mean()
    assert together["nll"] == pytest.approx(nll.item(), rel=1e-6)
    assert together["parameters"] == 2 * report["models"]["student"]["parameters"]


def test_the_pages_show_the_chain_and_only_where_there_is_one(born_again, session, typed, tmp_path):
    folder = Path(result_of(born_again[0])["stages"]["evaluate"]["artifact"])
    for page in ("report.md", "report.html"):
        text = (folder / page).read_text()
        assert "From the teacher to the student" in text and "all 2 generations" in text
    named = (Path(__file__).parents[2] / "docs/reports.md").read_text()
    fields = set().union(*(row.keys() for row in report_of(born_again[0])["chain"]))
    assert all(f"`{field}`" in named for field in fields)
    assert typed("run", *SMALL)[0] == 0
    assert "chain" not in report_of(tmp_path) and "chain" not in result_of(tmp_path)


def test_the_same_command_again_does_nothing_and_imports_no_torch(born_again):
    directory, _ = born_again
    before = contents(directory / "artifacts", but=())
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('TORCH' if 'torch' in sys.modules else 'NO TORCH', file=sys.stderr))\n"
        "from distill_cli.cli import app\n"
        "app()\n"
    )
    again = subprocess.run(
        [sys.executable, "-c", code, "run", *TWO], cwd=directory, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "NO TORCH" in again.stderr and again.stderr.count("up-to-date") == 7
    assert contents(directory / "artifacts", but=()) == before


def test_a_third_generation_costs_one_more(place, typed):
    code, said = typed("run", "generations=3", *SMALL)
    assert code == 0
    for stage in (
        "teacher",
        "soft labels",
        "generation 1 of 3",
        "soft labels of generation 1 of 3",
        "generation 2 of 3",
    ):
        assert f"{stage}: up-to-date" in said
    assert "soft labels of generation 2 of 3: built" in said and "generation 3 of 3: built" in said
    assert len(list(place.glob("artifacts/students/*-kd-*"))) == 3


def test_a_report_without_a_link_says_what_is_missing(place, session):
    of_two = session(*TWO)
    shutil.rmtree(of_two.plan.first.student.directory)
    shutil.rmtree(of_two.plan.evaluation().directory)
    with pytest.raises(
        ArtifactError, match=r"^generation 1 of 2 is not there \(mlp_24.*\); make it with: distill run"
    ):
        evaluate.run(of_two)


@pytest.mark.parametrize("stage", [distill_stage, gen_soft_labels], ids=["distill", "gen-soft-labels"])
def test_what_is_missing_of_a_chain_is_told_with_what_makes_it(session, stage):
    with pytest.raises(
        ArtifactError, match=r"^assistant mlp is not there \(mlp-.*\); make it with: distill run$"
    ):
        stage.run(session("assistant=mlp"))
    with pytest.raises(ArtifactError, match=r"^generation 2 of 3 is not there .* make it with: distill run$"):
        stage.run(session("generations=3", "assistant=mlp"))


# Interrupted.


def cut_short(directory: Path, number: signal.Signals) -> int:
    """The command, sent a signal in the middle of the second generation. Its exit code."""
    process = subprocess.Popen(
        [str(COMMAND), "run", *TWO],
        cwd=directory,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("generation 2 of 2: mlp_24"):
            time.sleep(0.2)
            process.send_signal(number)
            break
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
def test_a_second_link_that_was_cut_short_goes_on_to_the_same_bytes(
    born_again, place, session, number, code, typed
):
    plan = session(*TWO).plan
    for made in (plan.student, plan.labels.place, plan.baseline, plan.evaluation()):
        shutil.rmtree(made.directory)
    assert cut_short(place, number) == code
    assert (plan.student.work / "checkpoint.pt").exists() and not plan.student.is_complete()
    ended, said = typed("run", *TWO)
    assert ended == 0 and "resumed in epoch" in said and "generation 2 of 2: resumed" in said
    found, expected = (
        {name: content for name, content in contents(d / "artifacts").items() if not name.startswith(".")}
        for d in (place, born_again[0])
    )
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


# Sizes, and losses that look inside.


def test_an_assistant_larger_than_the_teacher_is_refused_before_anything_is_made(tmp_path, typed):
    code, said = typed("run", "assistant=cnn_deep", *SMALL)
    assert code == 2
    assert said == (
        "distill: error: assistant cnn_deep has 506,826 parameters, the teacher 74,794; choose a smaller one\n"
    )
    assert not (tmp_path / "artifacts/teachers").exists()


def test_an_assistant_smaller_than_the_student_is_told_and_tried(tmp_path, typed):
    code, said = typed(
        "run", "assistant=mlp_24", "student=cnn_tiny", *SMALL[:3], "student.epochs=1", *SMALL[4:]
    )
    assert code == 0
    assert "assistant mlp_24 has 1,810 parameters and will teach a model of 24,058" in said.splitlines()[0]


def test_an_assistant_may_end_in_its_teachers_classifier_and_hand_it_on(tmp_path, typed):
    code, said = typed("run", "loss=simkd", "assistant=cnn_tiny", *SMALL[:3], "student.epochs=1", *SMALL[4:])
    assert code == 0, said
    stages = result_of(tmp_path)
    artifacts = [
        stages["stages"]["train-teacher"],
        stages["before"][0]["distill"],
        stages["stages"]["distill"],
    ]
    models = [distill_cli.load_model(each["artifact"]) for each in artifacts]
    layers = [[m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1] for model in models]
    assert all(torch.equal(layer.weight, layers[0].weight) for layer in layers)
    assert not torch.equal(models[1].projector[0].weight[:, :24], models[2].projector[0].weight)
    assert [step["role"] for step in report_of(tmp_path)["provenance"]][2] == "assistant cnn_tiny"


def test_losses_between_layers_follow_the_chain(tmp_path, typed):
    words = (
        "loss=attention_transfer",
        "student=cnn_tiny",
        "generations=2",
        *SMALL[:3],
        "student.epochs=1",
        *SMALL[4:],
    )
    code, said = typed("run", *words)
    assert code == 0, said
    second = read_manifest(Path(result_of(tmp_path)["stages"]["distill"]["artifact"]))
    first = result_of(tmp_path)["before"][0]["distill"]["key"]
    assert second["identity"]["distillation"]["teacher"] == first


def test_a_sweep_over_generations_builds_each_once(place, typed):
    code, said = typed("run", "-m", "generations=1,2,3", *SMALL)
    assert code == 0 and "3 jobs: 3 done, 0 failed" in said
    assert len(list(place.glob("artifacts/students/*-kd-*"))) == 3
    assert [
        said.count(f"{stage}: built") for stage in ("student", "generation 2 of 2", "generation 3 of 3")
    ] == [0, 0, 1]
