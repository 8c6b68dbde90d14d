"""A checkpoint that went bad, or is another run's, is refused by name; without it the stage starts again."""

from pathlib import Path

import pytest
from damage import Damage, cuts, flipped_bits, replaced_by, zeros
from operations import KILL, Fault
from scene import Scene, artefacts, assert_one_line

STEP = "train-teacher"


def checkpointed(scene: Scene, *words: str) -> Path:
    """A directory in which the training of a teacher was killed behind its first checkpoint."""
    log = scene.logs[STEP].log
    renamed = next(number for number, one in enumerate(log, 1) if str(one.more).endswith("/checkpoint.pt"))
    place = scene.stage(STEP)
    ended = scene.nursery.run(scene.order(place, STEP, *words, fault=Fault(KILL, renamed + 1)))
    assert ended.code == -9
    return place


def checkpoint_of(place: Path) -> tuple[str, bytes]:
    (path,) = place.glob("artifacts/teachers/.*.work/checkpoint.pt")
    return str(path.relative_to(place / "artifacts")), path.read_bytes()


def hurt_and_resume(scene: Scene, damages: list[Damage]) -> int:
    """Each is refused by name, and the same command ends well once the file is removed."""
    for damage in damages:
        place = checkpointed(scene)
        name, _ = checkpoint_of(place)
        damage.do(place)
        order = scene.order(place, STEP)
        line = assert_one_line(scene.nursery.run(order))
        assert name in line, (damage, line)
        (place / "artifacts" / name).unlink()
        assert scene.nursery.run(order).code == 0
        assert artefacts(place) == scene.after[STEP], damage
    return len(damages)


def test_a_whole_checkpoint_is_resumed(scene):
    place = checkpointed(scene)
    ended = scene.nursery.run(scene.order(place, STEP))
    assert ended.result["status"] == "resumed" and artefacts(place) == scene.after[STEP]


def test_a_checkpoint_with_a_flipped_bit_is_refused(scene, record_property):
    files = dict([checkpoint_of(checkpointed(scene))])
    record_property("bits flipped", hurt_and_resume(scene, list(flipped_bits(files, places=3))))


@pytest.mark.slow
def test_a_checkpoint_with_a_bit_flipped_anywhere_is_refused(scene, record_property):
    files = dict([checkpoint_of(checkpointed(scene))])
    record_property("bits flipped", hurt_and_resume(scene, list(flipped_bits(files, places=40, seed=1))))


def test_a_checkpoint_that_was_cut_or_zeroed_is_refused(scene, record_property):
    name, content = checkpoint_of(checkpointed(scene))
    damages = [*cuts({name: content}, range(0, 16, 8)), Damage(name, "zeros", zeros)]
    record_property("files cut", hurt_and_resume(scene, damages))


def test_a_checkpoint_of_another_run_is_refused(scene):
    name, _ = checkpoint_of(checkpointed(scene))
    _, others = checkpoint_of(checkpointed(scene, "teacher.seed=1"))
    hurt_and_resume(scene, [Damage(name, "another run's", replaced_by(others))])
