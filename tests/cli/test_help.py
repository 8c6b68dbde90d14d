"""What one sees before anything is done, and that it costs nothing."""

import subprocess
import sys
import time

import pytest
from command import installed

VERBS = ("train-teacher", "gen-soft-labels", "distill", "evaluate", "run")


def modules_after(*words, cwd):
    """The modules that a command line leaves imported."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('MODULES', *sys.modules, file=sys.stderr))\n"
        f"sys.argv = ['distill', *{list(words)!r}]\n"
        "from distill_cli.cli import app\n"
        "app()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition("MODULES ")[2].split())


def test_help_shows_what_it_does_the_five_verbs_and_three_examples(tmp_path):
    ended = installed("--help", cwd=tmp_path)
    assert ended.code == 0
    assert "teacher" in ended.out
    for verb in VERBS:
        assert f"  {verb} " in ended.out
    assert ended.out.count("\n    distill ") == 3


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_lists_the_overrides_one_needs(verb, tmp_path):
    ended = installed(verb, "--help", cwd=tmp_path)
    assert ended.code == 0
    for override in ("experiment=", "student=", "temperature=", "--multirun", "--cfg job", "--config-dir"):
        assert override in ended.out


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_neither_torch_nor_hydra(words, tmp_path):
    assert not {"torch", "hydra", "omegaconf", "rich"} & modules_after(*words, cwd=tmp_path)


@pytest.mark.parametrize("words", [["--cfg", "job"], ["--info", "searchpath"], ["--hydra-help"]])
def test_looking_at_the_config_does_not_import_torch(words, tmp_path):
    modules = modules_after("distill", *words, cwd=tmp_path)
    assert "hydra" in modules
    assert not {"torch", "pydantic", "numpy"} & modules


@pytest.mark.parametrize(
    ("words", "limit"), [(["--help"], 0.2), (["run", "--help"], 0.2), (["distill", "--cfg", "job"], 0.5)]
)
def test_looking_takes_no_time(words, limit, tmp_path):
    """The limits hold on an idle machine; a busy one gets a second more."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        assert installed(*words, cwd=tmp_path).code == 0
        seconds.append(time.perf_counter() - started)
    print(f"distill {' '.join(words)}: {min(seconds):.2f} s (limit {limit} s)")
    assert min(seconds) < limit + 1.0


def test_cfg_job_prints_plain_yaml(tmp_path):
    from omegaconf import OmegaConf

    ended = installed("distill", "--cfg", "job", "student=resnet8", cwd=tmp_path)
    assert OmegaConf.create(ended.out).student.model.name == "resnet8"
    assert not list(tmp_path.iterdir())


def test_the_version_is_one_line(tmp_path):
    assert installed("--version", cwd=tmp_path).out.startswith("distill-cli ")


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("dist", "did you mean 'distill'?"),
        ("train", "train-teacher"),
        ("--hlep", "'--help'"),
        ("x=1", "verb"),
    ],
)
def test_an_unknown_verb_is_one_line_with_the_nearest(word, remedy, tmp_path):
    ended = installed(word, cwd=tmp_path)
    assert ended.code == 2
    assert ended.line.startswith("distill: error: ")
    assert remedy in ended.line
