"""Who works on which part of an artefact that several processes fill at once.

A claim is a lock on one byte of one file: the kernel drops it when its holder dies, whatever the clock says. Among
writers it only saves work: equal parts have equal bytes, and each comes in by a rename. Where a file system has
no locks, every process therefore has every claim. Who removes things takes the whole file, and so leaves alone
what anybody is at; every process is `present` from before its first claim to its end.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from hashlib import sha256
from pathlib import Path

from distill_cli.artifacts.files import make_directory

TAKEN = (errno.EAGAIN, errno.EACCES)
BEYOND_ALL_PARTS = 1 << 60
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Claims:
    """Claims on named parts. One object a process and file: closing one gives up all claims of the process."""

    def __init__(self, path: Path) -> None:
        make_directory(path.parent)
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self.are_exclusive = True

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.descriptor)

    def be_present(self) -> None:
        """Show that somebody works here, with a byte of this process's own."""
        self._lock(BEYOND_ALL_PARTS + secrets.randbits(40))

    def take(self, part: str) -> bool:
        """Whether the part is this process's to work on, until it is given back."""
        return self._lock(_position(part))

    def _lock(self, position: int) -> bool:
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, position)
        except OSError as error:
            if error.errno in NO_LOCKS:
                self.are_exclusive = False
                return True
            if error.errno in TAKEN:
                return False
            raise
        return True

    def give_back(self, part: str) -> None:
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, _position(part))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise


def _position(part: str) -> int:
    """A byte for each name. Two that share one wait for each other, and nothing worse."""
    return int.from_bytes(sha256(part.encode()).digest()[:7])
