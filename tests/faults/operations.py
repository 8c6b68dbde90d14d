"""Every operation that changes the disk below a directory, counted, and one of them made to go wrong.

The package does all of them through functions of `os`; these are wrapped. A write comes in two halves, so that
a process can die, or fail, between them. Reading is left alone.
"""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

KILL = "SIGKILL"
FAILURES = ("ENOSPC", "EIO", "EACCES")
CHANGES = ("mkdir", "unlink", "rmdir", "rename", "replace")
WRAPPED = ("open", "close", "write", "fsync", *CHANGES)


class Operation(NamedTuple):
    name: str
    path: str
    more: Any = None  # the content written, or the other path of a rename


@dataclass(frozen=True)
class Fault:
    """What happens at the operation number `at`, counted from 1. `kind` is SIGKILL, or the name of an error."""

    kind: str
    at: int
    for_ever: bool = False  # all operations from there on fail too

    def strikes(self, number: int) -> bool:
        return number == self.at or (self.for_ever and number > self.at)

    def strike(self, operation: Operation) -> None:
        """As the kernel does: what is called with a descriptor fails without a path."""
        if self.kind == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, self.kind)
        path = None if operation.name in ("write", "fsync") else operation.path
        raise OSError(number, os.strerror(number), path)


class Operations:
    """The operations below `root`, in order, while they are `watched`."""

    def __init__(self, root: str, fault: Fault | None = None) -> None:
        self.root, self.fault = root, fault
        self.lock = threading.Lock()  # several threads write
        self.log: list[Operation] = []
        self.struck: list[str] = []  # paths of operations that were made to fail
        self.paths: dict[int, str] = {}  # of open descriptors
        self.halved: set[int] = set()  # descriptors whose first write has been cut short
        self.real = {name: getattr(os, name) for name in WRAPPED}

    @contextmanager
    def watched(self) -> Iterator[None]:
        os.open, os.close, os.write, os.fsync = self._open, self._close, self._write, self._fsync
        for name in CHANGES:
            setattr(os, name, self._change(name))
        try:
            yield
        finally:
            for name, function in self.real.items():
                setattr(os, name, function)

    def _happens(self, name: str, path: str, more: Any = None) -> None:
        if path != self.root and not path.startswith(self.root + os.sep):
            return
        operation = Operation(name, path, more)
        with self.lock:
            self.log.append(operation)
            number = len(self.log)
        if self.fault is not None and self.fault.strikes(number):
            self.struck.append(path)
            self.fault.strike(operation)

    def _path(self, path: Any, dir_fd: int | None = None) -> str:
        folder = self.paths.get(dir_fd, "") if dir_fd is not None else ""
        return str(Path(folder, path).absolute())

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        place = self._path(path, dir_fd)
        creates = bool(flags & os.O_CREAT) and not os.path.lexists(place)
        self._happens("create" if creates else "open", place)
        descriptor: int = self.real["open"](path, flags, mode, dir_fd=dir_fd)
        self.paths[descriptor] = place
        return descriptor

    def _close(self, descriptor: int) -> None:
        self.paths.pop(descriptor, None)
        self.halved.discard(descriptor)
        self.real["close"](descriptor)

    def _write(self, descriptor: int, content: Any) -> int:
        if descriptor in self.paths and descriptor not in self.halved and len(content) > 1:
            self.halved.add(descriptor)
            content = content[: len(content) // 2]
        self._happens("write", self.paths.get(descriptor, ""), bytes(content))
        return self.real["write"](descriptor, content)

    def _fsync(self, descriptor: int) -> None:
        self._happens("fsync", self.paths.get(descriptor, ""))
        self.real["fsync"](descriptor)

    def _change(self, name: str) -> Callable[..., None]:
        def change(path: Any, *rest: Any, **options: Any) -> None:
            target = self._path(rest[0]) if name in ("rename", "replace") else None
            self._happens(name, self._path(path, options.get("dir_fd")), target)
            self.real[name](path, *rest, **options)

        return change
