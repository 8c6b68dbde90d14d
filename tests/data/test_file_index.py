from __future__ import annotations

import os
import time
from hashlib import sha256
from pathlib import Path

import pytest
from picture_files import flip_last_byte

from distill_cli.data import file_index
from distill_cli.data.file_index import Check, index_files


@pytest.fixture
def files(tmp_path):
    """Three files that were last touched long enough ago to be remembered."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_bytes(name.encode() * 100)
    return folder


@pytest.fixture
def settled(monkeypatch):
    """An hour passes between writing a file and reading it."""
    now = time.time_ns
    monkeypatch.setattr(file_index.time, "time_ns", lambda: now() + 3600 * 10**9)


@pytest.fixture
def reads(monkeypatch):
    """The names of the files whose content was read."""
    names = []
    read = Path.read_bytes

    def counted(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    return names


def contents_read(reads):
    return sorted(name for name in reads if len(name) == 1)


def test_facts_are_the_sha256_of_each_file_in_order(files, tmp_path):
    found = index_files(files, ["b", "a"])
    assert [facts.sha256 for facts in found] == [
        sha256(b"b" * 100).hexdigest(),
        sha256(b"a" * 100).hexdigest(),
    ]


def test_unchanged_files_are_not_read_again(files, tmp_path, settled, reads):
    first = index_files(files, ["a", "b", "c"], cache=tmp_path / "cache")
    assert contents_read(reads) == ["a", "b", "c"]
    assert index_files(files, ["a", "b", "c"], cache=tmp_path / "cache") == first
    assert contents_read(reads) == ["a", "b", "c"]


def test_a_file_that_changed_at_the_same_size_is_read_again(files, tmp_path, settled, reads):
    first = index_files(files, ["a", "b", "c"], cache=tmp_path / "cache")
    reads.clear()
    flip_last_byte(files / "b")
    reads.clear()
    second = index_files(files, ["a", "b", "c"], cache=tmp_path / "cache")
    assert contents_read(reads) == ["b"]
    assert [x.sha256 == y.sha256 for x, y in zip(first, second, strict=True)] == [True, False, True]


def test_setting_the_old_mtime_again_does_not_hide_a_change(files, tmp_path, settled):
    before = (files / "b").stat()
    first = index_files(files, ["b"], cache=tmp_path / "cache")
    flip_last_byte(files / "b")
    os.utime(files / "b", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert index_files(files, ["b"], cache=tmp_path / "cache") != first


def test_a_file_replaced_by_another_of_the_same_size_and_mtime_is_noticed(files, tmp_path, settled):
    for name in "ab":
        os.utime(files / name, ns=(1, 10**18))
    first = index_files(files, ["a", "b"], cache=tmp_path / "cache")
    (files / "a").rename(files / "x")
    (files / "b").rename(files / "a")
    (files / "x").rename(files / "b")
    second = index_files(files, ["a", "b"], cache=tmp_path / "cache")
    assert [facts.sha256 for facts in second] == [facts.sha256 for facts in reversed(first)]


def test_a_file_touched_a_moment_ago_is_not_remembered(files, tmp_path, reads):
    for _ in range(2):
        index_files(files, ["a"], cache=tmp_path / "cache")
    assert contents_read(reads) == ["a", "a"]


def test_without_a_cache_every_file_is_read(files, settled, reads):
    for _ in range(2):
        index_files(files, ["a"])
    assert contents_read(reads) == ["a", "a"]


def test_an_index_that_is_torn_or_altered_is_ignored(files, tmp_path, settled):
    expected = index_files(files, ["a", "b"], cache=tmp_path / "cache")
    (index,) = (tmp_path / "cache").iterdir()
    whole = index.read_bytes()
    wrong = whole.replace(expected[0].sha256[:8].encode(), b"00000000")
    for content in (b"", b"{}", b"\xff\n[]", whole[: len(whole) // 2], wrong, whole.replace(b"\n", b"")):
        index.write_bytes(content)
        assert index_files(files, ["a", "b"], cache=tmp_path / "cache") == expected
        assert index.read_bytes() == whole


def test_a_cache_that_cannot_be_written_does_no_harm(files, tmp_path, settled):
    (tmp_path / "cache").write_text("a file where the directory should be")
    assert index_files(files, ["a"], cache=tmp_path / "cache") == index_files(files, ["a"])


def test_writing_the_index_leaves_nothing_beside_it(files, tmp_path, settled, monkeypatch):
    def full(*_):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "replace", full)
    index_files(files, ["a"], cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_that_is_gone_leaves_the_index(files, tmp_path, settled):
    index_files(files, ["a", "b"], cache=tmp_path / "cache")
    index_files(files, ["a"], cache=tmp_path / "cache")
    (index,) = (tmp_path / "cache").iterdir()
    assert b'"a"' in index.read_bytes() and b'"b"' not in index.read_bytes()


def test_findings_are_remembered_for_the_rule_they_were_made_by(files, tmp_path, settled):
    asked = []

    def no_b(content):
        asked.append(content[:1])
        return "is b" if content[:1] == b"b" else ""

    for _ in range(2):
        found = index_files(files, ["a", "b"], Check("no b", no_b), tmp_path / "cache")
        assert [facts.problem for facts in found] == ["", "is b"]
    assert sorted(asked) == [b"a", b"b"]
    index_files(files, ["a", "b"], Check("another rule", no_b), tmp_path / "cache")
    assert len(asked) == 4


def test_findings_are_not_handed_out_to_those_who_did_not_ask(files, tmp_path, settled, reads):
    index_files(files, ["a"], Check("nothing passes", lambda content: "bad"), tmp_path / "cache")
    assert index_files(files, ["a"], cache=tmp_path / "cache") == index_files(files, ["a"])
    assert index_files(files, ["a"], Check("nothing passes", lambda content: ""), tmp_path / "cache")[
        0
    ].problem
    assert contents_read(reads) == ["a", "a"]  # the second time where there was no cache


def test_an_unreadable_file_has_a_problem_and_is_not_remembered(files, tmp_path, settled):
    (files / "link").symlink_to("nowhere")
    os.mkfifo(files / "pipe")
    found = index_files(files, ["link", "pipe", "a"], cache=tmp_path / "cache")
    assert [facts.problem for facts in found] == ["No such file or directory", "not a regular file", ""]
    (index,) = (tmp_path / "cache").iterdir()
    assert b"link" not in index.read_bytes()


def test_names_of_any_kind_are_remembered(files, tmp_path, settled, reads):
    names = [os.fsdecode(name) for name in (b"with space", "ünï 📷".encode(), b"not-utf-8-\xff", b"n" * 255)]
    for name in names:
        (files / name).write_bytes(b"x")
    first = index_files(files, names, cache=tmp_path / "cache")
    reads.clear()
    assert index_files(files, names, cache=tmp_path / "cache") == first
    assert not [name for name in reads if name in names]


def test_two_folders_of_one_name_have_two_indices(tmp_path, settled):
    for parent in ("one", "two"):
        (tmp_path / parent / "train").mkdir(parents=True)
        (tmp_path / parent / "train" / "a").write_text(parent)
        index_files(tmp_path / parent / "train", ["a"], cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2
