"""The stages together, on digits: what is built, what is reused, and what they say of it."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from tool import QUICK, contents, distill

import distill_cli
from distill_cli.artifacts.files import read_sealed_json, write_sealed_json
from distill_cli.errors import ArtifactError
from distill_cli.stages import distill as distill_stage
from distill_cli.stages import evaluate, gen_soft_labels, train_teacher


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A directory in which `distill run` was typed once."""
    directory = tmp_path_factory.mktemp("project")
    done = distill("run", *QUICK, cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory, done


def result_of(directory, verb):
    path = min(directory.glob(f"outputs/{verb}/*/result.json"))  # of the first run
    return json.loads(path.read_text())


def test_run_makes_every_artefact_and_says_where_and_how_good(project):
    directory, done = project
    kinds = {"teachers": 1, "soft_labels": 1, "students": 2, "evaluations": 1}
    for kind, count in kinds.items():
        assert len(list((directory / "artifacts" / kind).glob("[!.]*"))) == count
    assert "test top-1" in done.stdout and "baseline" in done.stdout
    for what in (
        "teacher: built",
        "soft labels: built",
        "student: built",
        "baseline: built",
        "report: built",
    ):
        assert what in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_result_json_says_what_the_interface_promises(project):
    directory, _ = project
    result = result_of(directory, "run")
    assert result["schema"] == 1 and result["stage"] == "run" and result["status"] == "built"
    assert set(result["stages"]) == {"train-teacher", "gen-soft-labels", "distill", "baseline", "evaluate"}
    for stage in result["stages"].values():
        wanted = {
            "schema",
            "stage",
            "status",
            "name",
            "key",
            "artifact",
            "inputs",
            "metrics",
            "seconds",
            "environment",
        }
        assert wanted <= stage.keys()
    assert result["models"].keys() == {"teacher", "student", "baseline"} and result["gates"] == []
    keys = {verb: stage["key"] for verb, stage in result["stages"].items()}
    assert result["stages"]["distill"]["inputs"] == {
        "train-teacher": keys["train-teacher"],
        "gen-soft-labels": keys["gen-soft-labels"],
    }


def test_the_report_is_for_people_and_machines(project):
    directory, _ = project
    (folder,) = (directory / "artifacts/evaluations").glob("[!.]*")
    report = json.loads((folder / "report.json").read_text())
    assert {"drop", "gain", "gap_closed", "mcnemar"} <= report["comparison"].keys()
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    figures = {"top1", "top5", "nll", "ece", "agreement", "kl_to_teacher", "parameters", "macs", "file_bytes"}
    assert figures <= report["models"]["student"].keys()
    assert "| test top-1 |" in (folder / "report.md").read_text()


def test_the_same_command_again_does_nothing_and_imports_no_torch(project):
    directory, _ = project
    before = contents(directory / "artifacts", but=())
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('TORCH' if 'torch' in sys.modules else 'NO TORCH', file=sys.stderr))\n"
        "from distill_cli.cli import app\n"
        f"sys.argv = ['distill', 'run', *{list(QUICK)!r}]\n"
        "app()\n"
    )
    again = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "NO TORCH" in again.stderr and again.stderr.count("up-to-date") == 5
    assert contents(directory / "artifacts", but=()) == before


NOT_NEEDED = ("torch._dynamo", "torch._inductor", "sympy", "triton", "torchvision", "tensorboard")


def test_training_without_a_compiler_imports_none_and_no_package_it_does_not_use(project):
    directory, _ = project
    code = (
        "import atexit, sys\n"
        f"found = lambda: [name for name in {NOT_NEEDED!r} if name in sys.modules]\n"
        "atexit.register(lambda: print('NOT NEEDED', found(), file=sys.stderr))\n"
        "from distill_cli.cli import app\n"
        f"sys.argv = ['distill', 'distill', *{list(QUICK)!r}, 'seed=7', 'device=cpu', 'compile=false']\n"
        "app()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "student: built" in done.stderr, done.stderr
    assert done.stderr.endswith("NOT NEEDED []\n")


def test_load_model_gives_the_trained_student_ready_to_use(project):
    directory, _ = project
    result = result_of(directory, "run")
    path = result["stages"]["distill"]["artifact"]
    model = distill_cli.load_model(path)
    assert not model.training
    manifest = json.loads((directory / path / "artifact.json").read_text())
    logits = model(torch.zeros(2, *manifest["data"]["image_shape"]))
    assert logits.shape == (2, len(manifest["data"]["classes"]))
    from safetensors.torch import load_file

    saved = load_file(directory / path / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())


SYSTEM = {"_target_": "os.system", "command": "touch owned"}


@pytest.mark.parametrize(
    "spec",
    [
        SYSTEM,
        {"_target_": "distill_cli.config.targets.instantiate", "spec": SYSTEM},
        {"_target_": "distill_cli.models.build.instantiate", "spec": SYSTEM},
        {"_target_": "distill_cli.models.build.build_model", "spec": SYSTEM, "seed": 0},
        {"_target_": "torchvision.models._utils.OrderedDict"},
        {"_target_": "timm.models._builder.deepcopy", "x": 1},
    ],
    ids=lambda spec: spec["_target_"],
)
def test_load_model_makes_nothing_but_models_on_the_allow_list(project, tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    directory, _ = project
    source = result_of(directory, "run")["stages"]["distill"]["artifact"]
    evil = shutil.copytree(source, tmp_path / "evil")
    manifest = read_sealed_json(evil / "artifact.json")
    write_sealed_json(evil / "artifact.json", {**manifest, "model": spec})
    with pytest.raises(ArtifactError, match="not on the allow-list"):
        distill_cli.load_model(evil)
    assert not (tmp_path / "owned").exists()


def test_a_damaged_student_is_refused_by_load_model_and_named(project, tmp_path):
    directory, _ = project
    copy = shutil.copytree(result_of(directory, "run")["stages"]["distill"]["artifact"], tmp_path / "copy")
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.safetensors is corrupt"):
        distill_cli.load_model(copy)


def test_a_stage_without_what_it_reads_says_what_to_type(session):
    with pytest.raises(ArtifactError, match="distill train-teacher"):
        gen_soft_labels.run(session(*QUICK))
    with pytest.raises(ArtifactError, match="distill gen-soft-labels"):
        distill_stage.run(session(*QUICK))
    with pytest.raises(ArtifactError, match="distill train-teacher"):
        distill_stage.run(session(*QUICK, "teacher_source=online"))
    with pytest.raises(ArtifactError, match="distill train-teacher"):
        evaluate.run(session(*QUICK))


def test_the_baseline_needs_no_teacher(session):
    result = distill_stage.run(session(*QUICK, "alpha=0"))
    assert result.status == "built" and result.inputs == {}
    assert distill_stage.run_baseline(session(*QUICK)).status == "up-to-date"


def test_evaluate_says_how_to_get_the_baseline_and_shows_it_once_it_is_there(session, capsys):
    for stage in (train_teacher, gen_soft_labels, distill_stage):
        stage.run(session(*QUICK))
    first = evaluate.run(session(*QUICK))
    assert first.more["models"]["baseline"] is None
    assert "for the baseline beside it: distill run" in capsys.readouterr().err
    distill_stage.run_baseline(session(*QUICK))
    second = evaluate.run(session(*QUICK))
    assert second.more["models"]["baseline"]["top1"] > 0.1 and second.status == "built"


def test_more_views_run_the_teacher_on_the_new_ones_only(session):
    for stage in (train_teacher, gen_soft_labels):
        stage.run(session(*QUICK, "views=shift", "views.count=2"))
    grown = gen_soft_labels.run(session(*QUICK, "views=shift", "views.count=3"))
    assert grown.status == "resumed"
    assert grown.metrics["shards_written"] == 1 and grown.metrics["views"] == 3


def test_students_of_any_temperature_and_loss_share_one_set_of_labels_without_the_teacher(
    session, monkeypatch
):
    for stage in (train_teacher, gen_soft_labels):
        stage.run(session(*QUICK))
    teacher = session(*QUICK).plan.teacher.directory / "model.safetensors"
    teacher.write_bytes(bytes(teacher.stat().st_size))  # whoever loads it now, fails
    for overrides in (["temperature=1"], ["temperature=8"], ["loss=logit_mse"], ["alpha=0.5", "seed=1"]):
        assert distill_stage.run(session(*QUICK, *overrides)).status == "built"
    with pytest.raises(ArtifactError, match="corrupt"):
        distill_stage.run(session(*QUICK, "teacher_source=online"))


def test_hidden_labels_leave_a_student_that_learns_from_the_teacher_alone(session):
    overrides = (*QUICK, "data.labeled_fraction=0.1")
    plan = session(*overrides).plan
    share = (plan.data.train.labels >= 0).mean()
    assert 0.05 < share < 0.15 and (plan.data.test.labels >= 0).all()
    for stage in (train_teacher, gen_soft_labels, distill_stage):
        assert stage.run(session(*overrides)).status == "built"


def test_a_checkpoint_of_ones_own_becomes_the_teacher_without_training(session, tmp_path):
    train_teacher.run(session(*QUICK))
    weights = session(*QUICK).plan.teacher.directory / "model.safetensors"
    imported = train_teacher.run(session(*QUICK, f"teacher.checkpoint={weights}"))
    assert imported.status == "built" and imported.place.key != session(*QUICK).plan.teacher.key
    assert (imported.place.directory / "model.safetensors").read_bytes() == weights.read_bytes()
    assert imported.metrics["test_top1"] == train_teacher.run(session(*QUICK)).metrics["test_top1"]


def test_run_works_with_mixing_and_an_online_teacher(session, tmp_path):
    overrides = [
        *QUICK,
        "views.mixing=cutmix",
        "views.count=null",
        f"paths.artifacts={tmp_path / 'artifacts'}",
    ]
    done = distill("run", *overrides, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "soft labels:" not in done.stderr
    (student,) = tmp_path.glob("artifacts/students/*-kd-*/artifact.json")
    distillation = json.loads(student.read_text())["identity"]["distillation"]
    assert distillation["source"] == "online" and not (tmp_path / "artifacts/soft_labels").exists()
