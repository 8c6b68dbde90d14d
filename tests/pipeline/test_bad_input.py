"""What users get wrong, and what machines run out of: one line, the right exit code, nothing half-written."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tool import COMMAND, QUICK, distill


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr that says what is wrong."""
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("distill: error: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def leftovers(directory: Path) -> list[str]:
    artifacts = directory / "artifacts"
    return [str(path.relative_to(artifacts)) for path in artifacts.glob("[!.]*/[!.]*")]


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (["temperature=0"], 2, ["temperature=0", "above 0"]),
        (["temperature=-1"], 2, ["temperature=-1", "above 0"]),
        (["temperature=inf"], 2, ["temperature=inf"]),
        (["temperature=1e9"], 2, ["temperature=1e+09"]),
        (["alpha=1.5"], 2, ["alpha=1.5", "[0, 1]"]),
        (["alpha=-0.1"], 2, ["alpha=-0.1"]),
        (["student.epochs=0"], 2, ["student.epochs=0", "at least 1"]),
        (["student.optimizer.lr=0"], 2, ["student.optimizer.lr=0", "above 0"]),
        (["student.optimizer.lr=fast"], 2, ["student.optimizer.lr=fast", "a number"]),
        (["student.label_smoothing=1"], 2, ["student.label_smoothing=1"]),
        (["views.count=0"], 2, ["views.count=0"]),
        (["precision=fp8"], 2, ["precision=fp8", "fp32, bf16, fp16"]),
        (["teacher_source=disk"], 2, ["teacher_source=disk", "auto, cached, online"]),
        (["views.count=null", "teacher_source=cached"], 2, ["set views.count"]),
        (["soft_labels=top_k"], 2, ["top_k", "float16"]),
        (["data=arrays"], 2, ["data.file"]),
        (["data=folder"], 2, ["data.path"]),
        (["data=folder", "data.path=nowhere"], 5, ["nowhere"]),
        (["data.labeled_fraction=0"], 2, ["data.labeled_fraction"]),
        (["teacher.checkpoint=nowhere.safetensors"], 2, ["nowhere.safetensors", "no such file"]),
        (["student.seed=-1"], 2, ["seed"]),
        (["seed=18446744073709551616"], 2, ["seed"]),
        (["student.lr_schedule.warmup=-1"], 2, ["warmup"]),
        (["student.lr_schedule=step", "student.lr_schedule.milestones=5"], 2, ["milestones"]),
        (["temperature_schedule=linear", "temperature_schedule.end=abc"], 2, ["end=abc"]),
        (["alpha_schedule=linear", "alpha_schedule.end=7"], 2, ["alpha_schedule", "[0, 1]"]),
        (["alpha_schedule=step", "alpha_schedule.factor=1.2"], 2, ["alpha_schedule"]),
        (["student.accumulation=64"], 2, ["student.accumulation=64"]),
        (["student=resnet20", "student.model.depth=21"], 2, ["21"]),
        (["+loss.foo=1"], 2, ["foo"]),
        (["+student.optimizer.foo=1"], 2, ["foo"]),
        (["loss._target_=nowhere.Loss"], 2, ["nowhere", "PYTHONPATH"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_impossible_value_is_one_line_before_anything_is_made(tmp_path, words, code, parts):
    done = distill("run", *words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert all(part in complaint(done) for part in parts), done.stderr
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["device=cuda:7"], ["device=cuda:7", "device=auto or cpu"]),
        (["device=tpu"], ["device=tpu", "cpu, cuda"]),
        (["teacher=resnet110", "teacher.model.depth=9"], ["depth"]),
        (["teacher.model.width=3"], ["width"]),
        (["teacher.optimizer.momentum=-1"], ["momentum"]),
        (["teacher.model._target_=distill_cli.models.mlp.Nope"], ["Nope"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_setting_that_only_torch_can_judge_is_one_line_too(tmp_path, words, parts):
    done = distill("train-teacher", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert all(part in complaint(done) for part in parts), done.stderr
    assert leftovers(tmp_path) == []


def test_data_that_is_not_there_and_cannot_be_had_says_where_to_put_it(tmp_path):
    blocked = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = distill("run", "data=mnist", cwd=tmp_path, env={**os.environ, **blocked})
    assert done.returncode == 5
    assert "paths.data" in complaint(done)


@pytest.mark.parametrize(
    "content", [b"not weights", b"", b"\x80\x02}q\x00."], ids=["text", "empty", "pickle"]
)
def test_a_checkpoint_that_is_not_safetensors_is_one_line(tmp_path, content):
    (tmp_path / "teacher.safetensors").write_bytes(content)
    done = distill("train-teacher", "teacher.checkpoint=teacher.safetensors", cwd=tmp_path)
    assert done.returncode == 4 and "safetensors" in complaint(done)


def test_a_checkpoint_of_another_architecture_is_one_line(tmp_path):
    assert distill("train-teacher", "teacher=mlp_24", *QUICK, cwd=tmp_path).returncode == 0
    (weights,) = tmp_path.glob("artifacts/teachers/*/model.safetensors")
    done = distill("train-teacher", f"teacher.checkpoint={weights}", cwd=tmp_path)
    assert done.returncode == 4 and "architecture" in complaint(done)


@pytest.mark.parametrize("blocked", ["artifacts", "outputs"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, blocked):
    (tmp_path / "file").write_text("")
    done = distill("train-teacher", f"paths.{blocked}=file/below", *QUICK, cwd=tmp_path)
    assert done.returncode == 2 and "file" in complaint(done)


def limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_is_exit_code_6_names_the_file_and_leaves_nothing_half_written(tmp_path):
    done = subprocess.run(
        [str(COMMAND), "train-teacher", *QUICK],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=limit_file_size,
        check=False,
    )
    assert done.returncode == 6, done.stderr
    assert "model.safetensors" in complaint(done)
    assert leftovers(tmp_path) == [] and not list(tmp_path.rglob("*.tmp"))
    assert distill("train-teacher", *QUICK, cwd=tmp_path).returncode == 0


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    process = subprocess.run(
        f"{COMMAND} distill --cfg job | head -1",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0 and process.stderr == ""


def test_diverged_training_is_exit_code_7_with_the_step(tmp_path):
    done = distill(
        "train-teacher",
        "teacher.optimizer.lr=1e30",
        "teacher.epochs=3",
        "evaluate.latency=false",
        cwd=tmp_path,
    )
    assert done.returncode == 7, done.stderr
    assert "diverged at step" in complaint(done)
    assert leftovers(tmp_path) == []


def test_two_runs_in_the_same_second_have_directories_of_their_own(tmp_path):
    processes = [
        subprocess.Popen([str(COMMAND), "distill", *QUICK], cwd=tmp_path, stderr=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [process.wait() for process in processes] == [4, 4, 4]  # no labels there
    assert len(list((tmp_path / "outputs/distill").iterdir())) == 3


def test_the_package_runs_as_a_module_too(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "distill_cli", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("distill-cli ")


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Two classes of noise, and a text file that calls itself a picture."""
    for part, count in (("train", 20), ("test", 4)):
        for number in range(count):
            folder = tmp_path / "data/noise" / part / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 256, (24, 20, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"{number:02d}.png")
    (tmp_path / "data/noise/train/a/bad.jpg").write_text("not a picture")
    return tmp_path


FOLDER = (
    "~experiment",
    "data=folder",
    "data.path=noise",
    "data.size=16",
    "teacher=cnn_tiny",
    "student=cnn_tiny",
)


def test_a_corrupt_picture_stops_with_its_path_and_the_remedy(pictures):
    done = distill("run", *FOLDER, *QUICK, cwd=pictures)
    assert done.returncode == 5
    assert "train/a/bad.jpg" in complaint(done) and "data.on_error=skip" in complaint(done)
    assert leftovers(pictures) == []


def test_a_skipped_picture_is_recorded_and_changes_the_fingerprint(pictures):
    done = distill("run", *FOLDER, *QUICK, "data.on_error=skip", cwd=pictures)
    assert done.returncode == 0, done.stderr
    assert "1 picture cannot be read and is left out: noise/train/a/bad.jpg" in done.stderr
    (result,) = pictures.glob("outputs/run/*/result.json")
    assert json.loads(result.read_text())["skipped"] == ["noise/train/a/bad.jpg"]
    (teacher,) = pictures.glob("artifacts/teachers/*/artifact.json")
    assert json.loads(teacher.read_text())["data"]["skipped"] == ["noise/train/a/bad.jpg"]
    (pictures / "data/noise/train/a/bad.jpg").write_bytes(
        (pictures / "data/noise/train/a/00.png").read_bytes()
    )
    assert distill("train-teacher", *FOLDER, *QUICK, "data.on_error=skip", cwd=pictures).returncode == 0
    assert len(list(pictures.glob("artifacts/teachers/*/artifact.json"))) == 2
