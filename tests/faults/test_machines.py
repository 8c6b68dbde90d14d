"""Machines with no room, no memory or no sense of time: said before or at once, and nothing half-made is left."""

import os

import pytest
from scene import STEPS, Scene, artefacts, assert_one_line


def test_room_for_the_labels_is_asked_for_before_the_teacher_starts(scene):
    place = scene.stage("gen-soft-labels")
    ended = scene.nursery.run(scene.order(place, "gen-soft-labels", patches=("small_disk", "small_device")))
    line = assert_one_line(ended)
    assert ended.code == 6 and "artifacts/soft_labels" in line and "1.0 kB are free; make room" in line


@pytest.mark.parametrize(
    ("step", "setting"),
    [
        ("train-teacher", "teacher.batch_size"),
        ("gen-soft-labels", "soft_labels.batch_size"),
        ("distill", "student.batch_size"),
    ],
)
def test_where_memory_runs_out_the_setting_to_lower_is_named_and_a_rerun_ends_well(scene, step, setting):
    place = scene.stage(step)
    ended = scene.nursery.run(scene.order(place, step, patches=("small_device",)))
    assert ended.code == 6 and f"out of memory; lower {setting}" in assert_one_line(ended)
    assert scene.nursery.run(scene.order(place, step)).code == 0
    assert artefacts(place) == scene.after[step]


def test_a_clock_that_jumps_changes_no_byte(scene):
    place = scene.stage("train-teacher")
    orders = [
        scene.order(place, step, output=f"output {number}", patches=("jumping_clock",))
        for number, step in enumerate(STEPS)
    ]
    ended = scene.nursery.carry_out(orders)
    assert [one.code for one in ended] == [0] * len(STEPS), [one.stderr for one in ended]
    assert all(0 <= one.result["seconds"]["total"] < 60 for one in ended)
    assert artefacts(place) == scene.after["evaluate"]


@pytest.mark.parametrize("time", [0, 2**33], ids=["long ago", "to come"])
def test_what_is_there_is_there_whatever_its_time(scene, time):
    place = scene.copy()
    for path in (place / "artifacts").rglob("*"):
        os.utime(path, (time, time))
    assert statuses(scene, place) == {"up-to-date"}


def statuses(scene: Scene, place) -> set[str]:
    orders = [scene.order(place, step, output=f"output {number}") for number, step in enumerate(STEPS)]
    ended = scene.nursery.carry_out(orders)
    assert [one.code for one in ended] == [0] * len(STEPS), [one.stderr for one in ended]
    return {one.result["status"] for one in ended}


def test_files_that_belong_to_nobody_are_left_alone(scene):
    place = scene.copy()
    (folder,) = (place / "artifacts/soft_labels").glob("*/train/view-000")
    for end in ("npy", "json"):
        (folder / f"block-00009.{end}").write_bytes((folder / f"block-00000.{end}").read_bytes())
    before = artefacts(place)
    assert statuses(scene, place) == {"up-to-date"}
    assert artefacts(place) == before
