"""Where artefacts lie: read-only, linked, oddly named, very long. It works, or one line says why not."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from orders import Ended, Order
from scene import STEPS, Scene, artefacts, assert_one_line

NOBODY = 65_534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def make_read_only(place: Path, *, but: tuple[str, ...]) -> None:
    """For all but root; the directories named in `but` are for everybody."""
    for path in (place, *place.rglob("*")):
        writable = path == place or any(part in but for part in path.relative_to(place).parts)
        path.chmod((0o777 if path.is_dir() else 0o666) if writable else (0o555 if path.is_dir() else 0o444))


def entries(place: Path) -> dict[str, float]:
    """All below a directory, hidden things too, and when each was changed."""
    return {str(path.relative_to(place)): path.stat().st_mtime_ns for path in place.rglob("*")}


def nobodys(scene: Scene, place: Path, step: str, number: int) -> Order:
    return scene.order(place, step, user=NOBODY, output=f"output {number}")


@needs_root
def test_everything_is_up_to_date_in_a_cache_that_one_may_only_read(scene):
    place = scene.copy()
    make_read_only(place, but=())
    before = entries(place / "artifacts")
    ended = scene.nursery.carry_out(
        [nobodys(scene, place, step, number) for number, step in enumerate(STEPS)]
    )
    assert [one.code for one in ended] == [0] * len(STEPS), [one.stderr for one in ended]
    assert {one.result["status"] for one in ended} == {"up-to-date"}
    assert entries(place / "artifacts") == before


@needs_root
def test_a_student_is_trained_beside_a_teacher_and_labels_that_one_may_only_read(scene):
    place = scene.stage("distill")
    (place / "artifacts/students").mkdir()
    (place / "artifacts/.locks").mkdir(exist_ok=True)
    make_read_only(place, but=("students", ".locks"))
    shared = [place / "artifacts" / kind for kind in ("teachers", "soft_labels")]
    before = [entries(directory) for directory in shared]
    ended = scene.nursery.run(nobodys(scene, place, "distill", 0))
    assert ended.code == 0, ended.stderr
    assert [entries(directory) for directory in shared] == before
    assert artefacts(place) == scene.after["distill"]


@needs_root
def test_labels_that_would_have_to_be_written_into_a_read_only_cache_are_one_line(scene):
    place = scene.stage("gen-soft-labels")
    make_read_only(place, but=(".locks",))
    ended = scene.nursery.run(nobodys(scene, place, "gen-soft-labels", 0))
    line = assert_one_line(ended)
    assert ended.code == 6 and "Permission denied: artifacts/soft_labels" in line


def run_all(scene: Scene, place: Path, *words: str) -> list[Ended]:
    orders = [scene.order(place, step, *words, output=f"output {n}") for n, step in enumerate(STEPS)]
    return scene.nursery.carry_out(orders)


@pytest.mark.parametrize("name", ["with space", "Schülerin-学生", "-dash", "x" * 200])
def test_an_odd_name_of_the_root_changes_no_byte(scene, name):
    place = scene.stage("train-teacher")
    ended = run_all(scene, place, f"paths.artifacts='{name}/below'")
    assert [one.code for one in ended] == [0] * len(STEPS), [one.stderr for one in ended]
    (place / name / "below").rename(place / "artifacts")
    assert artefacts(place) == scene.after["evaluate"]


def test_a_root_that_is_a_link_to_elsewhere_changes_no_byte(scene):
    place, elsewhere = scene.stage("train-teacher"), scene.stage("train-teacher")
    (elsewhere / "artifacts").mkdir()
    (place / "artifacts").symlink_to(elsewhere / "artifacts")
    ended = run_all(scene, place)
    assert [one.code for one in ended] == [0] * len(STEPS), [one.stderr for one in ended]
    assert (place / "artifacts").is_symlink()
    assert artefacts(elsewhere) == scene.after["evaluate"]


def test_an_artefact_that_is_a_link_is_read_like_any_other(scene):
    place, elsewhere = scene.copy(), scene.copy()
    for kind in ("teachers", "soft_labels"):
        shutil.rmtree(place / "artifacts" / kind)
        (place / "artifacts" / kind).symlink_to(elsewhere / "artifacts" / kind)
    ended = run_all(scene, place)
    assert [one.result["status"] for one in ended] == ["up-to-date"] * len(STEPS)


def test_a_name_that_is_too_long_for_a_file_is_one_line(scene):
    place = scene.stage("train-teacher")
    ended = scene.nursery.run(scene.order(place, "train-teacher", f"data.name={'x' * 240}"))
    assert ended.code == 2 and len(ended.complaints) == 1, ended.stderr
    assert "data.name=xxx" in ended.complaints[0] and artefacts(place) == {}


def test_new_files_are_for_whom_the_users_umask_says(scene):
    place = scene.copy()
    before = os.umask(0)
    os.umask(before)
    for path in (place / "artifacts").rglob("[!.]*.*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~before, path
