"""What is known of each file of a folder, so that an unchanged folder is not read again at every command.

An entry is believed if size, mtime, ctime and inode of the file are what they were: whatever changes a file's
bytes changes its ctime. A file touched less than two seconds before it was read is not remembered, since a
second change could fall into the same tick of the clock (git's "racy" rule). The index is a cache: a missing,
torn or read-only one costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

from distill_cli.artifacts.files import make_directory, write_bytes

FORMAT = 1
SETTLED = 2_000_000_000  # nanoseconds
THREADS = min(8, os.cpu_count() or 1)

Identity = tuple[int, ...]  # size, mtime_ns, ctime_ns, inode


@dataclass(frozen=True)
class Facts:
    identity: Identity
    sha256: str  # empty where the file cannot be read at all
    rule: str = ""  # of the check it went through
    problem: str = ""  # what is wrong with it; empty where nothing is known to be


@dataclass(frozen=True)
class Check:
    """What is wrong with a file, if anything, and the name of the rule: another rule, other findings."""

    rule: str
    problem: Callable[[bytes], str]


def index_files(
    folder: Path, names: Sequence[str], check: Check | None = None, cache: Path | None = None
) -> list[Facts]:
    """The facts of each file `folder/name`, in order; with a `check`, what it has found as well.

    `cache` is the directory that holds the index of this folder; where it is None, every file is read.
    """
    started = time.time_ns()
    place = _place(folder, cache) if cache is not None else None
    known = _load(place) if place else {}
    current = {
        name: known[name] for name in names if name in known and _holds(known[name], folder / name, check)
    }
    unknown = [name for name in names if name not in current]
    with ThreadPoolExecutor(THREADS) as pool:
        read = dict(zip(unknown, pool.map(lambda name: _read(folder / name, check), unknown), strict=True))
    settled = {name: facts for name, facts in read.items() if _is_settled(facts, started)}
    if place and known != current | settled:
        _save(place, current | settled)
    found = [current.get(name) or read[name] for name in names]
    return found if check else [_as_unchecked(facts) for facts in found]


def _holds(facts: Facts, path: Path, check: Check | None) -> bool:
    try:
        return facts.identity == _identity(path) and (check is None or facts.rule == check.rule)
    except OSError:
        return False


def _as_unchecked(facts: Facts) -> Facts:
    """Without the findings of a rule that nobody has asked for now."""
    return replace(facts, rule="", problem="") if facts.rule else facts


def _read(path: Path, check: Check | None) -> Facts:
    try:
        identity = _identity(path)  # before the bytes: what changes from here on changes it
        content = path.read_bytes()
    except OSError as error:
        return Facts((), "", problem=error.strerror or str(error))
    digest = hashlib.sha256(content).hexdigest()
    return Facts(identity, digest, check.rule, check.problem(content)) if check else Facts(identity, digest)


def _identity(path: Path) -> Identity:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _is_settled(facts: Facts, started: int) -> bool:
    return bool(facts.identity) and max(facts.identity[1:3]) + SETTLED < started


def _place(folder: Path, cache: Path) -> Path:
    where = os.fsencode(folder.resolve())
    return cache / f"{folder.name[:40]}-{hashlib.sha256(where).hexdigest()[:12]}.jsonl"


def _load(place: Path) -> dict[str, Facts]:
    """Two lines of JSON, a header with the checksum of the second, and [[name, identity, …], …]."""
    try:
        header, _, body = place.read_bytes().partition(b"\n")
        if json.loads(header) != {"format": FORMAT, "crc32": crc32(body)}:
            return {}
        return {name: Facts(tuple(identity), *rest) for name, identity, *rest in json.loads(body)}
    except (OSError, ValueError):
        return {}


def _save(place: Path, entries: dict[str, Facts]) -> None:
    rows = [
        [name, facts.identity, facts.sha256, facts.rule, facts.problem] for name, facts in entries.items()
    ]
    body = json.dumps(rows, separators=(",", ":")).encode()
    header = json.dumps({"format": FORMAT, "crc32": crc32(body)}).encode()
    with suppress(OSError):  # read-only or full: the next command reads the files again
        make_directory(place.parent)
        write_bytes(place, header + b"\n" + body)
