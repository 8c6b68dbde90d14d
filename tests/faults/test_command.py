"""A few faults of each kind through the command as users call it: its exit code, and all that it says."""

import subprocess
import sys
from pathlib import Path

import pytest
from damage import flip
from operations import FAILURES, KILL
from scene import STEPS, Scene, artefacts
from tool import distill

COMMAND = Path(__file__).with_name("command.py")


def faulty(scene: Scene, place: Path, step: str, kind: str, at: int, for_ever: bool = False):
    verb, *own = STEPS[step]
    words = [str(place), kind, str(at), str(for_ever), verb, *scene.settings, *own]
    return subprocess.run(
        [sys.executable, str(COMMAND), *words], cwd=place, capture_output=True, text=True, check=False
    )


def assert_one_line_at_the_end(stderr: str) -> str:
    *before, line = stderr.splitlines()
    assert line.startswith("distill: error: ") and "Traceback" not in stderr
    assert not any("error" in other for other in before)
    return line


def rerun(scene: Scene, place: Path, step: str) -> None:
    assert scene.nursery.run(scene.order(place, step)).code == 0
    assert artefacts(place) == scene.after[step]


def fail_and_rerun(scene: Scene, step: str, kind: str, at: int, for_ever: bool) -> None:
    place = scene.stage(step)
    done = faulty(scene, place, step, kind, at, for_ever)
    assert done.returncode == 6, done.stderr
    assert "artifacts/" in assert_one_line_at_the_end(done.stderr)
    rerun(scene, place, step)


@pytest.mark.slow
def test_a_failing_disk_is_one_line_and_a_rerun_ends_well(scene, record_property):
    fail_and_rerun(scene, "gen-soft-labels", "EIO", 90, for_ever=False)
    record_property("faults injected", 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAILURES)
def test_a_disk_that_fails_for_ever_is_one_line_and_a_rerun_ends_well(scene, kind, record_property):
    fail_and_rerun(scene, "train-teacher", kind, 60, for_ever=True)
    record_property("faults injected", 1)


@pytest.mark.slow
def test_a_kill_says_nothing_and_a_rerun_ends_well(scene, record_property):
    place = scene.stage("distill")
    done = faulty(scene, place, "distill", KILL, 60)
    assert done.returncode == -9 and "error" not in done.stderr
    rerun(scene, place, "distill")
    record_property("kills", 1)


def test_a_flipped_bit_is_one_line_that_names_the_file(scene, record_property):
    place = scene.stage("distill")
    (shard,) = place.glob("artifacts/soft_labels/*/train/view-000/block-00001.npy")
    flip(200, 3)(shard)
    done = distill("distill", *scene.settings, cwd=place)
    assert done.returncode == 4
    assert str(shard.relative_to(place)) in assert_one_line_at_the_end(done.stderr)
    record_property("bits flipped", 1)
