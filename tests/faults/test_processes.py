"""Several processes at one cache: they share the work, take over from the dead, and read what others add to."""

from dataclasses import replace

import pytest
from operations import KILL, Fault
from scene import Scene, artefacts

STEP = "gen-soft-labels"
MANY = "views.count=8"
SHARDS = 2 * 8 + 2  # blocks of train in 8 views, validation, test


@pytest.fixture(scope="module")
def alone(undisturbed) -> dict[str, bytes]:
    """What one process makes."""
    place = undisturbed.stage(STEP)
    assert undisturbed.nursery.run(undisturbed.order(place, STEP, MANY)).code == 0
    return artefacts(place)


@pytest.mark.parametrize("count", [2, 4])
def test_processes_that_label_at_once_write_each_shard_once(scene, alone, count):
    place = scene.stage(STEP)
    orders = [scene.order(place, STEP, MANY, output=f"output {number}") for number in range(count)]
    ended = at_once(scene, orders)
    assert [one.code for one in ended] == [0] * count, [one.stderr for one in ended]
    assert sum(one.result["metrics"]["shards_written"] for one in ended) == SHARDS
    assert artefacts(place) == alone


def at_once(scene: Scene, orders):
    running = [(scene.nursery.start(order), order) for order in orders]
    return [scene.nursery.wait(process, order)[0] for process, order in running]


@pytest.mark.parametrize("at", range(30, 150, 24))
def test_the_blocks_of_a_killed_process_are_taken_over(scene, alone, at, record_property):
    place = scene.stage(STEP)
    orders = [scene.order(place, STEP, MANY, output=f"output {number}") for number in range(3)]
    doomed = scene.order(place, STEP, MANY, fault=Fault(KILL, at), output="doomed")
    *others, dead = at_once(scene, [*orders, doomed])
    assert dead.code in (-9, 0)  # 0: the others were so fast that it had nothing left to do
    assert [one.code for one in others] == [0] * 3, [one.stderr for one in others]
    record_property("kills", int(dead.code == -9))
    assert artefacts(place) == alone


def test_a_student_learns_from_rows_on_disk_while_another_process_adds_views(scene, alone):
    place = scene.stage("distill")
    orders = [
        scene.order(place, STEP, MANY, output="labelling"),
        scene.order(place, "distill", "soft_labels.resident=false", output="learning"),
    ]
    ended = at_once(scene, orders)
    assert [one.code for one in ended] == [0, 0], [one.stderr for one in ended]
    found = artefacts(place)
    students = {name for name in scene.after["distill"] if name.startswith("students/")}
    assert {name: found[name] for name in students} == {
        name: scene.after["distill"][name] for name in students
    }
    assert {name: found[name] for name in alone} == alone


@pytest.mark.parametrize("kind", ["no_locks", "no_lock_calls"])
def test_without_any_locks_every_command_works_and_ends_with_the_same_bytes(scene, kind):
    for step, expected in scene.after.items():
        place = scene.stage(step)
        ended = scene.nursery.run(scene.order(place, step, patches=(kind,)))
        assert ended.code == 0, ended.stderr
        assert artefacts(place) == expected


@pytest.mark.parametrize("kind", ["no_locks", "no_lock_calls"])
def test_without_any_locks_a_killed_process_is_in_nobodys_way(scene, kind, record_property):
    place = scene.stage("distill")
    order = scene.order(place, "distill", patches=(kind,))
    assert scene.nursery.run(replace(order, fault=Fault(KILL, 30))).code == -9
    assert scene.nursery.run(order).code == 0
    assert artefacts(place) == scene.after["distill"]
    record_property("kills", 1)


@pytest.mark.parametrize("kind", ["no_locks", "no_lock_calls"])
def test_without_any_locks_processes_that_label_at_once_end_with_the_same_bytes(scene, alone, kind):
    place = scene.stage(STEP)
    orders = [
        scene.order(place, STEP, MANY, output=f"output {number}", patches=(kind,)) for number in range(3)
    ]
    ended = at_once(scene, orders)
    assert [one.code for one in ended] == [0] * 3, [one.stderr for one in ended]
    assert artefacts(place) == alone
