"""Artefacts: complete or absent, built once, and damage is named."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from distill_cli.artifacts import files
from distill_cli.artifacts.keys import canonical_json, differences, key_of
from distill_cli.artifacts.store import MANIFEST, Place, read_manifest, verified
from distill_cli.errors import ArtifactError, ConfigError


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, "students", "toy", {"epochs": 3})


def build(place: Place, content: bytes = b"weights") -> None:
    place.work.mkdir(parents=True)
    files.write_bytes(place.work / "model.safetensors", content)
    place.publish({"metrics": {"top1": 0.5}})


def test_a_key_does_not_depend_on_the_order_of_fields_but_on_every_value():
    assert key_of({"a": 1, "b": [1, 2]}) == key_of({"b": [1, 2], "a": 1})
    assert (
        len({key_of(identity) for identity in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": 1.5}, {"a": None})}) == 5
    )


def test_a_key_is_the_same_today_as_when_this_test_was_written():
    assert canonical_json({"b": 0.1, "a": "ü"}) == '{"a":"\\u00fc","b":0.1}'
    assert key_of({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


def test_an_identity_holds_no_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        key_of({"lr": float("nan")})


def test_differences_name_the_field_and_both_values():
    ours, theirs = {"recipe": {"epochs": 20, "lr": 0.1}}, {"recipe": {"epochs": 10, "lr": 0.1}}
    assert differences(ours, theirs) == ["recipe.epochs: 10, not 20"]


def test_an_artefact_is_absent_until_it_is_published(place):
    place.work.mkdir(parents=True)
    files.write_bytes(place.work / "model.safetensors", b"weights")
    assert not place.is_complete() and not place.directory.exists()
    place.publish({"metrics": {}})
    assert place.is_complete() and not place.work.exists()


def test_a_manifest_says_what_was_hashed_and_the_checksum_of_every_file(place):
    build(place)
    manifest = read_manifest(place.directory)
    assert manifest["key"] == place.key and manifest["identity"] == {"epochs": 3}
    assert manifest["files"]["model.safetensors"]["bytes"] == len(b"weights")
    assert manifest["metrics"] == {"top1": 0.5}


def test_checkpoints_and_temporary_files_do_not_get_into_an_artefact(place):
    place.work.mkdir(parents=True)
    for name in ("checkpoint.pt", ".model.safetensors.123.tmp", "model.safetensors"):
        (place.work / name).write_bytes(b"x")
    place.publish({"metrics": {}})
    assert sorted(path.name for path in place.directory.iterdir()) == [MANIFEST, "model.safetensors"]


def test_a_file_that_is_gone_or_cut_is_named(place):
    build(place)
    weights = place.directory / "model.safetensors"
    weights.write_bytes(b"wei")
    with pytest.raises(ArtifactError, match=r"model\.safetensors has 3 bytes, not 7; remove"):
        place.is_complete()
    weights.unlink()
    with pytest.raises(ArtifactError, match=r"model\.safetensors is missing; remove"):
        place.is_complete()


def test_a_flipped_bit_is_noticed_when_the_file_is_used(place):
    build(place)
    (place.directory / "model.safetensors").write_bytes(b"weighty"[:7])
    with pytest.raises(ArtifactError, match="corrupt: its sha256 differs"):
        verified(place.directory, "model.safetensors")


def test_another_artefact_in_the_same_place_is_refused(place, tmp_path):
    build(place)
    manifest = read_manifest(place.directory)
    files.write_sealed_json(place.directory / MANIFEST, {**manifest, "key": "0" * 64})
    with pytest.raises(ArtifactError, match="holds another artefact"):
        place.is_complete()


def test_a_manifest_that_is_not_json_or_of_another_schema_is_one_line(place):
    build(place)
    (place.directory / MANIFEST).write_text("{")
    with pytest.raises(ArtifactError, match="corrupt: not JSON"):
        place.is_complete()
    files.write_sealed_json(place.directory / MANIFEST, {"schema": 99})
    with pytest.raises(ArtifactError, match="not of schema 2"):
        place.is_complete()


def test_a_second_process_waits_for_the_first(place):
    order = []

    def second():
        with place.locked(on_wait=lambda: order.append("waits")):
            order.append("second")

    with place.locked():
        thread = threading.Thread(target=second)
        thread.start()
        while "waits" not in order:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["waits", "first", "second"]


def test_the_lock_of_a_killed_process_is_free(place, tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from distill_cli.artifacts.store import Place\n"
        "place = Place(Path(sys.argv[1]), 'students', 'toy', {'epochs': 3})\n"
        "with place.locked(): os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with place.locked(on_wait=lambda: pytest.fail("the lock is still held")):
        pass


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch):
    path = tmp_path / "x"
    files.write_bytes(path, b"old")

    def fail(descriptor, content):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(OSError, match=r"No space left on device \(4 bytes are needed\)") as caught:
        files.write_bytes(path, b"half")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_short_write_is_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:3]))
    files.write_bytes(tmp_path / "x", b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_sealed_json_notices_any_changed_value(tmp_path):
    path = tmp_path / "x.json"
    files.write_sealed_json(path, {"top1": 0.5, "name": "a"})
    assert files.read_sealed_json(path) == {"top1": 0.5, "name": "a"}
    path.write_text(path.read_text().replace("0.5", "0.6"))
    with pytest.raises(ArtifactError, match="its digest differs"):
        files.read_sealed_json(path)


def test_a_sealed_file_gives_back_its_content_and_notices_every_flipped_bit(tmp_path):
    path = tmp_path / "x"
    files.write_sealed(path, b"content")
    assert files.read_sealed(path) == b"content"
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(ArtifactError, match="corrupt"):
            files.read_sealed(path)


@pytest.mark.parametrize("length", [0, 5, 31, 32, 38])
def test_a_sealed_file_cut_anywhere_is_noticed(tmp_path, length):
    path = tmp_path / "x"
    files.write_sealed(path, b"content")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ArtifactError, match="corrupt"):
        files.read_sealed(path)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc, where nobody can make a directory")
def test_a_root_that_cannot_be_created_is_a_mistake_of_the_config():
    place = Place(Path("/proc/nowhere"), "students", "toy", {"epochs": 3})
    with (
        pytest.raises(ConfigError, match=r"paths\.artifacts=/proc/nowhere: cannot be created"),
        place.locked(),
    ):
        pass
