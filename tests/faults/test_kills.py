"""A process that is killed at any operation leaves nothing half-written, and a rerun ends with the same bytes."""

import json

import pytest
from operations import KILL, Fault
from scene import STEPS, Scene, artefacts, visible

BATCH = 32  # reruns in one process


def kill_and_rerun(scene: Scene, step: str, faults: list[Fault]) -> int:
    """How many kills were survived."""
    for start in range(0, len(faults), BATCH):
        places = [killed(scene, step, fault) for fault in faults[start : start + BATCH]]
        reruns = scene.nursery.carry_out([scene.order(place, step) for place in places])
        for fault, place, rerun in zip(faults[start : start + BATCH], places, reruns, strict=True):
            assert rerun.code == 0, (fault, rerun.stderr)
            assert artefacts(place) == scene.after[step], fault
            assert not (place / "output/error.json").exists()
        scene.remove_trials()
    return len(faults)


def killed(scene: Scene, step: str, fault: Fault):
    """A directory in which the step was killed."""
    place = scene.stage(step)
    ended = scene.nursery.run(scene.order(place, step, fault=fault))
    is_over = len(ended.log) < fault.at  # threads may have shared a directory's making
    assert ended.code == -9 or (ended.code == 0 and is_over), (fault, ended.stderr)
    expected = scene.after[step]
    for name, content in visible(artefacts(place)).items():
        assert content == expected[name], (fault, name)
    for path in (place / "output").glob("[!.]*.json"):
        json.loads(path.read_bytes())
    return place


@pytest.mark.parametrize("step", STEPS)
def test_sigkill_at_some_operations_changes_no_byte(scene, step, record_property):
    faults = scene.faults(step, KILL, stride=17)
    record_property("kills", kill_and_rerun(scene, step, faults))


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_sigkill_at_every_operation_changes_no_byte(scene, step, record_property):
    record_property("kills", kill_and_rerun(scene, step, scene.faults(step, KILL)))
