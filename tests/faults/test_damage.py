"""A file that went bad is refused by whoever reads it, in one line that names it, or changes nothing shown."""

import re

import pytest
from damage import Damage, cuts, flipped_bits, numbers_zeroed, removed, replaced_by, swapped, zeros
from readers import READERS, Reader
from scene import STEPS, Scene, artefacts

BATCH = 16  # damages in one process


def files_of(scene: Scene, kind: str) -> dict[str, bytes]:
    """Of the finished tree; not the build notes, which hold no promise."""
    return {name: content for name, content in scene.after["evaluate"].items() if name.startswith(f"{kind}/")}


def some_files_of(scene: Scene, kind: str) -> dict[str, bytes]:
    """Of soft labels one block of train and the clean ones of test; of all else everything."""
    one = re.compile(r"view-001/block-00000|test/clean|labels\.json")
    files = files_of(scene, kind)
    return {name: content for name, content in files.items() if kind != "soft_labels" or one.search(name)}


def hurt_and_read(scene: Scene, kind: str, damages: list[Damage]) -> int:
    """How many damages there were. Some of them must have been refused: else nobody has looked."""
    reader, refused = Reader.of(scene, kind), 0
    for start in range(0, len(damages), BATCH):
        refused += reader.refusals(damages[start : start + BATCH])
    assert refused > len(damages) // 4
    return len(damages)


@pytest.mark.parametrize("kind", READERS)
def test_some_flipped_bits_are_refused_or_change_nothing(scene, kind, record_property):
    damages = list(flipped_bits(some_files_of(scene, kind), places=1, seed=1))
    record_property("bits flipped", hurt_and_read(scene, kind, damages))


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_many_flipped_bits_are_refused_or_change_nothing(scene, kind, record_property):
    damages = list(flipped_bits(files_of(scene, kind), places=8))
    record_property("bits flipped", hurt_and_read(scene, kind, damages))


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_a_file_cut_anywhere_is_refused_or_changes_nothing(scene, kind, record_property):
    damages = list(cuts(files_of(scene, kind), range(0, 16, 3)))
    record_property("files cut", hurt_and_read(scene, kind, damages))


def lost(files: dict[str, bytes]) -> list[Damage]:
    changes = {"removed": removed, "zeros": zeros}
    return [Damage(name, what, change) for name in files for what, change in changes.items()]


@pytest.mark.parametrize("kind", READERS)
def test_a_file_that_is_gone_or_full_of_zeros_is_refused_or_changes_nothing(scene, kind, record_property):
    damages = lost(some_files_of(scene, kind))
    record_property("files lost", hurt_and_read(scene, kind, damages))


@pytest.mark.slow
def test_any_file_of_soft_labels_that_is_gone_or_full_of_zeros_is_refused(scene, record_property):
    damages = lost(files_of(scene, "soft_labels"))
    record_property("files lost", hurt_and_read(scene, "soft_labels", damages))


@pytest.fixture(scope="module")
def other(undisturbed) -> dict[str, bytes]:
    """The artefacts of another teacher and its student: as many files, of the same sizes, with other keys."""
    place = undisturbed.root / "other"
    place.mkdir()
    words = ("teacher.seed=1", "seed=1")
    for ended in undisturbed.nursery.carry_out([undisturbed.order(place, step, *words) for step in STEPS]):
        assert ended.code == 0, ended.stderr
    return artefacts(place)


def counterparts(ours: dict[str, bytes], theirs: dict[str, bytes]) -> dict[str, bytes]:
    """The other project's file for each of ours. Students have both keys in their names, and sort alike."""
    pairs = zip(sorted(ours), sorted(theirs, key=lambda name: name.replace("-s1-", "-s0-")), strict=True)
    return {our: theirs[their] for our, their in pairs}


def exchanged(scene: Scene, other: dict[str, bytes], kind: str) -> list[Damage]:
    """Each file of ours replaced by its counterpart."""
    theirs = {name: content for name, content in other.items() if name.startswith(f"{kind}/")}
    pairs = counterparts(files_of(scene, kind), theirs)
    return [Damage(name, "another one's", replaced_by(content)) for name, content in pairs.items()]


@pytest.mark.parametrize("kind", READERS)
def test_a_file_of_another_teacher_or_student_is_refused(scene, other, kind, record_property):
    some = some_files_of(scene, kind)
    damages = [damage for damage in exchanged(scene, other, kind) if damage.name in some]
    record_property("files exchanged", hurt_and_read(scene, kind, damages))


@pytest.mark.slow
def test_any_file_of_another_teachers_soft_labels_is_refused(scene, other, record_property):
    damages = exchanged(scene, other, "soft_labels")
    record_property("files exchanged", hurt_and_read(scene, "soft_labels", damages))


@pytest.mark.parametrize("suffixes", [(".npy",), (".json",), (".npy", ".json")], ids="and".join)
def test_swapped_shards_are_refused_or_made_again(scene, suffixes, record_property):
    shards = [name for name in files_of(scene, "soft_labels") if "train/" in name and name.endswith(".npy")]
    first, *others = shards  # of the other block, and of the other view
    pairs = [(first, theirs) for theirs in others[:2]]
    damages = [swapped(ours, theirs, suffixes) for ours, theirs in pairs]
    record_property("files exchanged", hurt_and_read(scene, "soft_labels", damages))


def test_numbers_that_are_zero_are_refused_though_they_are_numbers(scene, record_property):
    shards = [name for name in files_of(scene, "soft_labels") if "train/" in name and name.endswith(".npy")]
    damages = [Damage(name, "zeros", numbers_zeroed) for name in shards]
    record_property("files lost", hurt_and_read(scene, "soft_labels", damages))
