"""How a job ends: exit code, one line, and what it leaves in its output directory."""

import errno
import json
import sys
import types

import pytest
from command import within
from omegaconf import MissingMandatoryValue, OmegaConf

from distill_cli.errors import (
    ArtifactError,
    DataError,
    GateFailed,
    Interrupted,
    ResourceError,
    TrainingDiverged,
)
from distill_cli.runtime.shared import shared


@pytest.fixture
def stage(monkeypatch):
    """Put a function in place of the stage of `distill distill`."""

    def put(main):
        module = types.ModuleType("distill_cli.stages.distill")
        module.main = main
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return put


def raising(error):
    def main(config, output):
        raise error

    return main


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


def output_of(directory):
    (found,) = directory.glob("outputs/distill/*")
    return found


def test_a_stage_gets_the_config_without_hydra_and_its_output_directory(stage, capsys, tmp_path):
    seen = {}
    stage(lambda config, output: seen.update(config=config, output=output))
    assert within(capsys, "temperature=3", "student=resnet8").code == 0
    assert "hydra" not in seen["config"]
    assert (seen["config"].temperature, seen["config"].student.model.name) == (3.0, "resnet8")
    assert seen["output"] == output_of(tmp_path)


ENDINGS = [
    (ArtifactError("no teacher"), 4, "no teacher"),
    (DataError("two\nlines"), 5, "two lines"),
    (GateFailed("too low"), 3, "too low"),
    (TrainingDiverged("NaN at step 3"), 7, "NaN at step 3"),
    (MemoryError(), 6, "out of memory"),
    (OutOfMemoryError("CUDA out of memory"), 6, "out of memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 6, "out of memory"),
    (
        OSError(errno.ENOSPC, "No space left on device", "/full/file"),
        6,
        "No space left on device: /full/file",
    ),
    (OSError(errno.EDQUOT, "Disk quota exceeded", "/full/file"), 6, "Disk quota exceeded: /full/file"),
    (PermissionError(errno.EACCES, "Permission denied", "/root/x"), 6, "Permission denied: /root/x"),
    (OSError(errno.EROFS, "Read-only file system", "/ro"), 6, "Read-only file system: /ro"),
    (MissingMandatoryValue("Missing mandatory value: loss"), 2, "no value"),
]


@pytest.mark.parametrize(("error", "code", "words"), ENDINGS, ids=lambda value: type(value).__name__)
def test_a_misfortune_is_its_exit_code_one_line_and_an_error_json(
    stage, capsys, tmp_path, error, code, words
):
    stage(raising(error))
    ended = within(capsys, "temperature=3")
    assert ended.code == code
    assert ended.line.startswith("distill: error: ")
    assert words in ended.line
    record = json.loads((output_of(tmp_path) / "error.json").read_text())
    assert record["exit_code"] == code
    assert record["overrides"] == ["temperature=3"]
    assert f"distill: error: {record['message']}" == ended.line
    assert ended.line in (output_of(tmp_path) / "distill.log").read_text()


def test_an_impossible_value_is_a_config_error(stage, capsys):
    stage(lambda config, output: OmegaConf.to_object(config))
    ended = within(capsys, "temperature=0")
    assert ended.code == 2
    assert "temperature=0: must be above 0" in ended.line


def test_a_value_that_is_missing_says_how_to_set_it(stage, capsys):
    stage(lambda config, output: config.data.path)
    assert "set it with data.path=..." in within(capsys, "data=folder", "data.path=???").line


def test_a_bug_is_one_line_and_its_traceback_in_a_file(stage, capsys, tmp_path):
    stage(raising(TypeError("None is\nnot callable")))
    ended = within(capsys)
    path = output_of(tmp_path) / "traceback.txt"
    assert ended.code == 1
    line = f"distill: error: internal error: TypeError: None is not callable; the traceback is in {path}"
    assert ended.line == line
    assert "in raising" not in ended.err
    assert "Traceback" in path.read_text()


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), AttributeError("x"), ImportError("x")])
def test_a_bug_is_not_taken_for_a_mistake_of_the_users(stage, capsys, error):
    stage(raising(error))
    assert within(capsys).code == 1


def test_a_reader_that_left_is_passed_over_in_silence(stage, capsys):
    stage(raising(BrokenPipeError()))
    ended = within(capsys)
    assert (ended.code, ended.err) == (141, "")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (Interrupted(143), 143)])
def test_an_interrupted_job_says_how_to_go_on(stage, capsys, error, code):
    stage(raising(error))
    ended = within(capsys)
    assert ended.code == code
    assert ended.line == "distill: interrupted; the same command resumes"


def test_a_job_clears_what_an_earlier_one_left_in_its_directory(stage, capsys, tmp_path):
    stage(raising(DataError("gone")))
    within(capsys, "hydra.run.dir=here")
    (tmp_path / "here" / "result.json").write_text("{}")
    stage(lambda config, output: None)
    assert within(capsys, "hydra.run.dir=here").code == 0
    assert not (tmp_path / "here" / "error.json").exists()
    assert not (tmp_path / "here" / "result.json").exists()


def test_an_output_directory_that_cannot_be_made_is_one_line(stage, capsys, tmp_path):
    stage(lambda config, output: None)
    (tmp_path / "file").write_text("")
    ended = within(capsys, "paths.outputs=file")
    assert ended.code == 2
    assert str(tmp_path / "file") in ended.line or "file/" in ended.line


def test_the_log_has_times_and_the_console_has_not(stage, capsys, tmp_path):
    from distill_cli.runtime.console import say

    stage(lambda config, output: say("hello · 10 €"))
    assert within(capsys).line == "hello · 10 €"
    assert "INFO distill: hello · 10 €" in (output_of(tmp_path) / "distill.log").read_text(encoding="utf-8")


def test_a_job_of_a_sweep_that_runs_out_of_memory_goes_on_without_what_is_shared(stage, capsys):
    def main(config, output):
        first_goes = shared.get("rows", 1, list)
        first_goes.append(config.seed)
        if config.seed == 1 and first_goes != [1]:
            raise ResourceError("out of memory; lower x") from OutOfMemoryError("CUDA out of memory")
        return float(config.seed)

    stage(main)
    ended = within(capsys, "-m", "seed=0,1,2")
    assert ended.code == 0 and ended.err.count("out of memory; once more") == 1
    assert "distill: error" not in ended.err
    assert not shared.release(), "a sweep leaves something behind"


@pytest.mark.parametrize("words", [("-m", "seed=range(0,1)"), ("seed=0",)])
def test_a_job_that_runs_out_of_memory_by_itself_fails_once(stage, capsys, words):
    goes = []

    def main(config, output):
        goes.append(1)
        raise MemoryError

    stage(main)
    assert within(capsys, *words).code == 6 and goes == [1]
