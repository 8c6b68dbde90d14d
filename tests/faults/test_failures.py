"""An operation that fails, once or for ever after, ends the command with one line that names the file.

Nothing half-written becomes visible, and once the disk is well again, the same command ends with the same bytes.
"""

import re
from pathlib import Path

import pytest
from operations import FAILURES, Fault
from orders import Ended
from scene import STEPS, Scene, artefacts, assert_one_line, final_path

BATCH = 32  # trials in one process


def fail_and_rerun(scene: Scene, step: str, faults: list[Fault]) -> int:
    """How many faults were injected."""
    for start in range(0, len(faults), BATCH):
        batch = faults[start : start + BATCH]
        places = [scene.stage(step) for _ in batch]
        orders = [
            order
            for place, fault in zip(places, batch, strict=True)
            for order in (
                scene.order(place, step, fault=fault, output="first"),
                scene.order(place, step, output="second"),
            )
        ]
        ended = scene.nursery.carry_out(orders)
        for fault, place, first, second in zip(batch, places, ended[::2], ended[1::2], strict=True):
            assert_said(place, fault, first)
            assert second.code == 0, (fault, second.stderr)
            assert artefacts(place) == scene.after[step], fault
            assert not (place / "second/error.json").exists()
        scene.remove_trials()
    return len(faults)


def assert_said(place: Path, fault: Fault, ended: Ended) -> None:
    assert ended.struck or len(ended.log) < fault.at, fault  # threads may have shared a directory's making
    if ended.code == 0:  # it could go on
        assert not ended.complaints, (fault, ended.stderr)
        return
    line = assert_one_line(ended)
    assert any(names(line, place, path) for path in ended.struck), (fault, line, ended.struck[0])


def names(line: str, place: Path, struck: str) -> bool:
    """Whether a line names a file, or the directory that it lies in."""
    path = final_path(struck)
    relative = path.relative_to(place)
    if path == place:
        return re.search(rf": ({re.escape(struck)}|\.)(;|$)", line) is not None
    return any(str(part) in line for part in (relative, *relative.parents) if part.name)


@pytest.mark.parametrize("step", STEPS)
def test_some_operations_fail_and_the_line_says_which_file(scene, step, record_property):
    faults = [
        fault
        for number, kind in enumerate((*FAILURES, "EINTR"))
        for for_ever in (False, True)
        for fault in scene.faults(step, kind, 37, for_ever, first=1 + 11 * number + 5 * for_ever)
    ]
    record_property("faults injected", fail_and_rerun(scene, step, faults))


@pytest.mark.slow
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("step", STEPS)
def test_every_operation_fails_and_the_line_says_which_file(scene, step, kind, for_ever, record_property):
    faults = scene.faults(step, kind, for_ever=for_ever)
    record_property("faults injected", fail_and_rerun(scene, step, faults))
