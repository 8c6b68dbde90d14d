"""Weights that a user names: what their artefact says of them, and what of it is believed without reading them."""

import re
from hashlib import sha256

import pytest

from distill_cli.artifacts import given_weights
from distill_cli.artifacts.former import FormerStudent
from distill_cli.artifacts.given_weights import GivenWeights
from distill_cli.artifacts.store import Place
from distill_cli.errors import ArtifactError, ConfigError

DATA = {"classes": ["ape", "bee"], "mean": [0.3], "std": [0.2], "image_shape": [1, 8, 8]}
SEEN = {name: DATA[name] for name in ("mean", "std", "image_shape")}
FILES = {"model.safetensors": b"the student", "peer-1.safetensors": b"its peer"}


@pytest.fixture
def artefact(tmp_path):
    """A student and its peer; a file that is not theirs lies beside them."""
    place = Place(tmp_path, "students", "two", {"name": "two"})
    place.work.mkdir(parents=True)
    for name, content in FILES.items():
        (place.work / name).write_bytes(content)
    place.publish({"data": DATA})
    (place.directory / "stranger.safetensors").write_bytes(b"a stranger")
    return place.directory


def given(path):
    return GivenWeights.at(path, f"teacher.checkpoint={path}")


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_an_artefact_lists_is_for_its_classes_and_its_pictures(artefact, name):
    found = given(artefact / name)
    assert (found.classes, found.preprocessing) == (("ape", "bee"), SEEN)
    assert found.sha256 == sha256(FILES[name]).hexdigest()
    with pytest.raises(
        ArtifactError, match=rf"={artefact / name} has other classes, ape, bee; those here are cat;"
    ):
        found.refuse_other_classes(["cat"])
    with pytest.raises(ArtifactError, match="in another order: class 0 is ape, here bee"):
        found.refuse_other_classes(["bee", "ape"])
    with pytest.raises(ConfigError, match=r"in another way; set data\.mean=\[0\.3\] data\.std=\[0\.2\]"):
        found.refuse_other_pictures({**SEEN, "std": [0.3]})
    with pytest.raises(ConfigError, match="saw pictures of 1×8×8, these are 1×9×8; name one that saw such"):
        found.refuse_other_pictures({**SEEN, "image_shape": [1, 9, 8]})


def test_of_a_file_that_no_artefact_lists_nobody_knows_anything(artefact):
    found = given(artefact / "stranger.safetensors")
    assert (found.classes, found.preprocessing) == (None, None)
    assert found.sha256 == sha256(b"a stranger").hexdigest() and found.verified() == found.path


@pytest.mark.parametrize("name", FILES)
def test_a_student_goes_on_from_any_of_them_under_its_own_name(artefact, name):
    former = FormerStudent.at(str(artefact / name))
    assert former.columns(["bee", "cat", "ape"]) == (2, 0)
    assert former.weights.name == (artefact.name if name.startswith("model") else f"{artefact.name}/{name}")


@pytest.mark.parametrize("name", FILES)
def test_the_bytes_of_an_artefact_are_read_by_who_loads_them_and_not_before(artefact, name, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(given_weights, "sha256_of", None)
        found = given(artefact / name)
    assert found.verified() == artefact / name
    (artefact / name).write_bytes(FILES[name][::-1])
    with pytest.raises(ArtifactError, match=re.escape(f"{name} is corrupt: its sha256 differs")):
        given(artefact / name).verified()
    (artefact / name).write_bytes(FILES[name][1:])
    with pytest.raises(ArtifactError, match=r"has (7|10) bytes, not (8|11)"):
        given(artefact / name)


def test_a_bare_file_is_read_once_and_again_when_it_has_changed(tmp_path, monkeypatch):
    read, path = [], tmp_path / "bare.safetensors"
    monkeypatch.setattr(given_weights, "sha256_of", lambda path: read.append(path) or path.read_text())
    path.write_text("old")
    assert [given(path).sha256 for _ in range(3)] == ["old"] * 3 and len(read) == 1
    path.write_text("newer")
    assert given(path).sha256 == "newer"


def test_of_many_classes_five_are_named(tmp_path, artefact):
    classes = [f"class {number}" for number in range(8)]
    with pytest.raises(
        ArtifactError, match="those here are class 0, class 1, class 2, class 3, class 4 and 3 more;"
    ):
        given(artefact / "model.safetensors").refuse_other_classes(classes)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("gone", r"student\.init=.*gone is not there; put it back, or name another student's artefact"),
        ("", r"holds no model\.safetensors; name a student's artefact"),
    ],
)
def test_a_student_that_is_not_there_is_one_line(tmp_path, typed, line):
    with pytest.raises(ConfigError, match=line):
        FormerStudent.at(str(tmp_path / typed))
