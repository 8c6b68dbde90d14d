"""Who works on an artefact now: the locks that builds take, looked at, or taken to remove something.

Looking needs no right to write and leaves no file behind. Lock files are never removed: another process may be
about to take one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from distill_cli.artifacts.claims import NO_LOCKS, TAKEN
from distill_cli.artifacts.files import make_directory
from distill_cli.artifacts.store import LOCKS
from distill_cli.errors import ArtifactError

KERNEL_LOCKS = Path("/proc/locks")  # Linux; elsewhere a holder stays nameless


def holder(root: Path, kind: str, digits: str) -> str:
    """`process 1234` where somebody holds the artefact's lock or a claim on a part of it, else empty."""
    lock, claims = _files(root, kind, digits)
    if _is_taken(lock, fcntl.flock) or _is_taken(claims, fcntl.lockf):
        return _name_of_holder(lock, claims)
    return ""


@contextmanager
def all_held(root: Path, kind: str, digits: str, what: str) -> Iterator[None]:
    """Keep everybody else from building it. Raises `ArtifactError` naming who builds it now."""
    from filelock import FileLock, Timeout  # 50 ms that looking need not pay

    lock, claims = _files(root, kind, digits)
    make_directory(lock.parent)
    with ExitStack() as held:
        try:
            held.enter_context(FileLock(lock).acquire(timeout=0))
            held.enter_context(_claimed(claims))
        except (Timeout, BlockingIOError):
            raise ArtifactError(f"{what} is being built now, by {_name_of_holder(lock, claims)}") from None
        yield


@contextmanager
def _claimed(claims: Path) -> Iterator[None]:
    """All claims at once, where there have ever been any. Raises `BlockingIOError`."""
    if not claims.exists():
        yield
        return
    descriptor = os.open(claims, os.O_RDWR)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in TAKEN:
                raise BlockingIOError(*error.args) from None
            if error.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)


def _is_taken(path: Path, lock: Callable[[int, int], None]) -> bool:
    """Asks for a shared lock, and gives it back at once: that needs no more than the right to read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # never taken, or somebody else's alone
        return False
    try:
        lock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in TAKEN
    finally:
        os.close(descriptor)
    return False


def _name_of_holder(*paths: Path) -> str:
    inodes = set()
    for path in paths:
        with suppress(OSError):
            inodes.add(path.stat().st_ino)
    with suppress(OSError):
        for line in KERNEL_LOCKS.read_text().splitlines():  # 1: FLOCK ADVISORY WRITE 1234 fd:00:5678 0 EOF
            fields = line.split()
            if len(fields) == 8 and int(fields[5].rpartition(":")[2]) in inodes and int(fields[4]) > 0:
                return f"process {fields[4]}"
    return "another process"


def _files(root: Path, kind: str, digits: str) -> tuple[Path, Path]:
    stem = f"{kind}-{digits}"
    return root / LOCKS / f"{stem}.lock", root / LOCKS / f"{stem}.claims"
