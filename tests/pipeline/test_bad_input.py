"""What users get wrong, and what machines run out of: one line, the right exit code, nothing half-written."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
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
    import os

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
