"""What lies in the cache, at a glance."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distill_cli.cache.ages import age_in_words

COMMAND = Path(sys.executable).parent / "distill"


def listed(shop, at=None):
    ended = shop.look_after("ls", "--json", at=at)
    assert ended.exit_code == 0, ended.stderr
    return {(entry["kind"], entry["name"]): entry for entry in json.loads(ended.stdout)["artefacts"]}


def test_every_artefact_is_listed_with_what_it_was_made_from(shop, chain):
    teacher, labels, student, evaluation = chain
    found = listed(shop)
    assert list(found) == [(place.kind, place.name) for place in chain]
    assert all(entry["state"] == "complete" for entry in found.values())
    assert [link["name"] for link in found["soft_labels", labels.name]["made_from"]] == [teacher.name]
    assert found["students", student.name]["made_from"][0]["key"] == labels.key
    assert found["evaluations", evaluation.name]["made_from"][0]["name"] == student.name


def test_the_table_names_each_kind_once_and_ends_with_a_total(shop, chain):
    lines = shop.look_after("ls").stdout.splitlines()
    assert [line.strip() for line in lines if line and " " not in line.strip()][:1] == ["teachers"]
    assert [
        kind for kind in ("teachers", "soft labels", "students", "evaluations") if kind + " " in str(lines)
    ]
    assert lines[-1].startswith("4 artefacts, ")
    for place in chain:
        assert any(line.startswith(place.name) and "complete" in line for line in lines)


def test_bytes_are_those_of_the_files(shop, chain):
    sizes = sum(len(content) for content in shop.contents().values())
    assert sum(entry["bytes"] for entry in listed(shop).values()) == sizes


def test_a_set_that_lacks_shards_says_how_many_it_has(shop, chain):
    _, labels, _, _ = chain
    (labels.directory / "train/view-001/block-00002.json").unlink()
    assert "incomplete (7 of 8 files)" in shop.look_after("ls").stdout


def test_a_cut_file_and_a_broken_manifest_are_damage(shop, chain):
    teacher, labels, student, _ = chain
    (student.directory / "model.safetensors").write_bytes(b"w")
    (teacher.directory / "artifact.json").write_text("{")
    (labels.directory / "labels.json").write_text('{"extent": 3}')
    states = [entry["state"] for entry in listed(shop).values()]
    assert states == ["damaged", "damaged", "damaged", "complete"]


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "3", '"x"', "{", "[" * 100_000, '{"digest": []}', "\udcff"]
)
def test_foreign_json_is_never_a_traceback(shop, chain, text):
    for place, name in zip(chain, ("artifact", "labels", "artifact", "artifact"), strict=True):
        (place.directory / f"{name}.json").write_text(text, errors="surrogateescape")
    for words in (["ls"], ["verify"], ["gc"]):
        ended = shop.look_after(*words)
        assert ended.exit_code == (4 if words == ["verify"] else 0)
        assert "Traceback" not in ended.output and "internal error" not in ended.output


def test_what_is_being_built_is_working(shop):
    place = shop.unfinished(shop.place("students", "mlp", seed=1))
    assert listed(shop)["students", place.name]["state"] == "incomplete"
    with place.locked():
        entry = listed(shop)["students", place.name]
    assert entry["state"] == "working"
    assert entry["holder"] in (f"process {os.getpid()}", "another process")


def test_a_claim_on_a_shard_is_work_too(shop, chain):
    _, labels, _, _ = chain
    code = (
        "import sys; from pathlib import Path; from distill_cli.artifacts.claims import Claims\n"
        "claims = Claims(Path(sys.argv[1])); print(claims.take('train/view-000/0'), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(labels.claims)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout.readline() == b"True\n"
        assert listed(shop)["soft_labels", labels.name]["state"] == "working"
        worker.communicate()
    assert listed(shop)["soft_labels", labels.name]["state"] == "complete"


def test_looking_changes_nothing_and_needs_no_right_to_write(shop, chain):
    before = shop.contents()
    folders = [shop.root, *(path for path in shop.root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert shop.look_after("ls").exit_code == 0
        assert shop.look_after("verify").exit_code == 0
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert shop.contents() == before


def test_a_root_behind_a_link_with_a_space_and_a_bracket_in_its_name(shop, chain, tmp_path):
    link = tmp_path / "my [bold]ärtefacts"
    link.symlink_to(shop.root)
    assert len(listed(shop, at=link)) == 4
    assert "my [bold]ärtefacts" in shop.look_after("ls", at=link).stdout


@pytest.mark.parametrize("there", [True, False])
def test_nothing_there_yet_is_no_mistake(shop, there):
    if there:
        shop.root.mkdir()
    ended = shop.look_after("ls")
    assert (ended.exit_code, ended.stdout) == (0, f"there are no artefacts in {shop.root}\n")
    assert shop.look_after("gc").exit_code == 0


def test_a_file_in_place_of_the_root_is_a_mistake(shop):
    shop.root.write_text("")
    ended = shop.look_after("ls")
    assert ended.exit_code == 2
    assert ended.stderr == f"distill: error: {shop.root} is not a directory\n"


def test_a_time_in_the_future_is_now(shop, chain):
    shop.age(-400)
    assert {entry["age_seconds"] for entry in listed(shop).values()} == {0.0}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (59.9, "59s"), (60, "1m"), (7200, "2h"), (9e6, "104d")]
)
def test_ages_are_one_number_and_one_unit(seconds, words):
    assert age_in_words(seconds) == words


def test_artefacts_that_go_while_one_looks_are_no_crash(shop, chain, monkeypatch):
    from distill_cli.cache import inventory

    _, labels, _, _ = chain
    read = inventory.read_document

    def read_late(kind, directory):
        if kind == "soft_labels":
            labels.directory.rename(shop.root / "elsewhere")
        return read(kind, directory)

    monkeypatch.setattr(inventory, "read_document", read_late)
    assert [kind for kind, _ in listed(shop)] == ["teachers", "students", "evaluations"]


def test_a_small_store_is_listed_at_once_without_torch_hydra_or_numpy(shop, chain):
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('MODULES', *sys.modules))\n"
        "sys.argv = ['distill', 'cache', 'ls']\n"
        "from distill_cli.cli import app\n"
        "app()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.partition("MODULES ")[2].split())
    assert not {"torch", "hydra", "omegaconf", "numpy", "pydantic"} & modules
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([COMMAND, "cache", "ls"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    print(f"distill cache ls: {min(seconds):.2f} s (limit 0.3 s)")
    assert min(seconds) < 0.3 + 1.0  # a busy machine gets a second more
