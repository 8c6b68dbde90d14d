"""The whole way, with the installed command: a run, damage, what verify says of it, and the run that mends it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from shop import Shop, flip

COMMAND = Path(sys.executable).parent / "distill"
RUN = (
    "run",
    "teacher.epochs=1",
    "student.epochs=1",
    "views.count=2",
    "soft_labels.block=512",
    "evaluate.latency=false",
)


def distill(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([COMMAND, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    assert distill(*RUN, cwd=directory).returncode == 0
    return directory


def what_is_kept(directory: Path) -> dict[str, bytes]:
    found = Shop(directory / "artifacts").contents()
    return {name: content for name, content in found.items() if not name.endswith("build.json")}


def test_what_a_run_makes_is_whole_and_needed(built):
    listed, verified, swept = (distill("cache", word, cwd=built) for word in ("ls", "verify", "gc"))
    assert listed.stdout.count(" complete") == 5
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.startswith("5 artefacts read, ") and verified.stdout.count("\n") == 1
    assert swept.stdout == "there is nothing to remove\n"


def test_every_kind_of_artefact_is_mended_by_removing_what_is_damaged_and_the_same_run(built):
    before = what_is_kept(built)
    victims = [
        next(built.glob(pattern))
        for pattern in (
            "artifacts/teachers/*/model.safetensors",
            "artifacts/soft_labels/*/train/view-001/block-00001.npy",
            "artifacts/students/*-kd-*/model.safetensors",
            "artifacts/evaluations/*/report.json",
        )
    ]
    for victim in victims:
        flip(victim)
    found = distill("cache", "verify", cwd=built)
    assert found.returncode == 4
    for victim in victims:
        assert str(victim.relative_to(built / "artifacts")) in found.stdout
    assert distill("cache", "verify", "--remove-damaged", cwd=built).returncode == 0
    assert distill(*RUN, cwd=built).returncode == 0
    assert distill("cache", "verify", cwd=built).returncode == 0
    assert what_is_kept(built) == before
