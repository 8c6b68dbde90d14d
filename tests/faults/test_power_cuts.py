"""A power cut loses or reorders what was not synced yet.

What is left under final names is whole, and a rerun ends with the same bytes.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from power_cut import PowerCut, all_lost, nothing_lost, reordered, torn
from scene import STEPS, Scene, artefacts, visible

BATCH = 32  # reruns in one process


def trees_after(scene: Scene, step: str, cuts: list[int]) -> Iterator[tuple[int, Path]]:
    """Directories after a power cut behind the first so many operations, three for each."""
    log = scene.logs[step].log
    for cut in cuts:
        for loss in (all_lost(), torn(cut), reordered(cut)):
            place = scene.stage(step)
            (place / "output").mkdir()
            PowerCut(log[:cut], scene.finished).leave(place, loss)
            yield cut, place


def cut_and_rerun(scene: Scene, step: str, cuts: list[int]) -> int:
    """How many disks were recovered."""
    trees = list(trees_after(scene, step, cuts))
    for cut, place in trees:
        assert broken(scene, step, place) == [], cut
    for start in range(0, len(trees), BATCH):
        batch = trees[start : start + BATCH]
        reruns = scene.nursery.carry_out([scene.order(place, step) for _, place in batch])
        for (cut, place), rerun in zip(batch, reruns, strict=True):
            assert rerun.code == 0, (cut, rerun.stderr)
            assert artefacts(place) == scene.after[step], (cut, place)
    return len(trees)


def broken(scene: Scene, step: str, place: Path) -> list[str]:
    """Files under a final name that are not what they should be."""
    expected = scene.after[step]
    return [name for name, content in visible(artefacts(place)).items() if content != expected[name]]


@pytest.mark.parametrize("step", STEPS)
def test_some_power_cuts_lose_nothing_that_was_finished(scene, step, record_property):
    cuts = list(range(5, scene.operations(step) + 1, 29))
    record_property("power cuts", cut_and_rerun(scene, step, cuts))


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_power_cut_after_any_operation_loses_nothing_that_was_finished(scene, step, record_property):
    cuts = list(range(1, scene.operations(step) + 1))
    record_property("power cuts", cut_and_rerun(scene, step, cuts))


@pytest.mark.parametrize("step", STEPS)
def test_without_fsync_a_power_cut_would_leave_torn_files_so_this_harness_sees_them(scene, step):
    log = [operation for operation in scene.logs[step].log if operation.name != "fsync"]
    place = scene.stage(step)
    PowerCut(log, scene.finished).leave(place, torn(0))
    assert broken(scene, step, place)


@pytest.mark.parametrize("step", STEPS)
def test_a_disk_that_lost_nothing_is_rebuilt_as_it_was(scene, step):
    place = scene.stage(step)
    PowerCut(scene.logs[step].log, scene.finished).leave(place, nothing_lost())
    assert artefacts(place) == scene.after[step]


@pytest.mark.parametrize("step", STEPS)
def test_what_a_command_has_made_survives_a_power_cut_behind_it(scene, step):
    place = scene.stage(step)
    PowerCut(scene.logs[step].log, scene.finished).leave(place, all_lost())
    assert artefacts(place) == scene.after[step]
