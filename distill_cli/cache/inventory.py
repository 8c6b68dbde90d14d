"""What lies in the artifacts directory: names, sizes, times and documents. No file is hashed here.

Whether something is valid never depends on a time; times are shown, and gc keeps what is young. Other processes
publish and remove while this looks: what has gone meanwhile was not there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from distill_cli.artifacts.files import TEMPORARY
from distill_cli.artifacts.store import BUILD_NOTES
from distill_cli.cache.documents import DIGITS, KINDS, Document, name_of_document, read_document
from distill_cli.cache.locks import holder
from distill_cli.errors import ArtifactError, ConfigError

WORK = ".work"
REMOVED = ".removed"  # the end of a dot-name: what a removal has left over

Files = Mapping[str, os.stat_result]  # by their names below a directory


@dataclass(frozen=True, eq=False)
class Entry:
    """One artefact, or the working directory of one."""

    kind: str
    directory: Path
    files: Files
    document: Document | None = None  # None: a working directory, or nothing to be read
    problem: str = ""  # what is wrong with the document
    is_readable: bool = True  # False: a right is missing, or the disk fails
    holder: str = ""  # who works on it now

    @property
    def is_work(self) -> bool:
        return self.directory.name.startswith(".")

    @property
    def name(self) -> str:
        """Of the artefact, finished or not."""
        return (
            self.directory.name.removeprefix(".").removesuffix(WORK) if self.is_work else self.directory.name
        )

    @property
    def digits(self) -> str:
        """The first of the key, as the name has them."""
        return self.name[-DIGITS:]

    @property
    def title(self) -> str:
        return f"{self.kind}/{self.directory.name}"

    @property
    def bytes(self) -> int:
        return sum(status.st_size for status in self.files.values())

    @property
    def modified(self) -> float:
        """When it was last written to."""
        return _modified(self.directory, self.files)

    @cached_property
    def state(self) -> str:
        if self.holder:
            return "working"
        if self.is_work:
            return "incomplete"
        if not self.is_readable:
            return "unreadable"
        if self.problem or self.wrong_sizes:
            return "damaged"
        return "incomplete" if self.expected > self.present else "complete"

    @cached_property
    def wrong_sizes(self) -> dict[str, str]:
        """Files of a manifest that are gone or cut, with what is wrong."""
        recorded = self.document.files if self.document else {}
        return {
            name: f"has {self.files[name].st_size} bytes, not {one.bytes}"
            if name in self.files
            else "is missing"
            for name, one in recorded.items()
            if name not in self.files or self.files[name].st_size != one.bytes
        }

    @property
    def expected(self) -> int:
        """Shards of a whole set of soft labels; 0 for other artefacts."""
        return len(self.document.slots) if self.document else 0

    @cached_property
    def present(self) -> int:
        """Shards that are there with their seals."""
        slots = self.document.slots if self.document else ()
        return sum(slot.name in self.files and slot.seal in self.files for slot in slots)

    @property
    def extra(self) -> list[str]:
        """Files that nobody reads. Not those that a killed writer has left: see `temporary`."""
        if self.is_work or self.document is None:
            return []
        known = {name_of_document(self.kind), BUILD_NOTES, *self.document.files}
        known |= {name for slot in self.document.slots for name in (slot.name, slot.seal)}
        return sorted(self.files.keys() - known - set(self.temporary))

    @property
    def temporary(self) -> list[str]:
        """Files under the names that writers use until they are done."""
        return sorted(name for name in self.files if _is_temporary(name.rpartition("/")[2]))


@dataclass(frozen=True, eq=False)
class Leftover:
    """A half-removed directory, or a temporary file that lies beside the artefacts."""

    kind: str
    path: Path
    files: Files

    @property
    def title(self) -> str:
        return f"{self.kind}/{self.path.name}"

    @property
    def modified(self) -> float:
        return _modified(self.path, self.files)

    @property
    def digits(self) -> str:
        """Those of the artefact that it was; empty for other things."""
        found = re.search(rf"-([0-9a-f]{{{DIGITS}}})\.", self.path.name)
        return found[1] if found else ""


@dataclass(frozen=True)
class Inventory:
    root: Path
    entries: tuple[Entry, ...]  # by kind, then by name
    leftovers: tuple[Leftover, ...]

    def find(self, kind: str, key: str) -> Entry | None:
        """The artefact with this key. Its name is enough: that is how the other verbs find it."""
        return self._by_digits.get((kind, key[:DIGITS]))

    def with_file(self, sha256: str) -> Sequence[Entry]:
        """Artefacts that list a file of these bytes."""
        return self._by_file.get(sha256, ())

    @cached_property
    def _by_file(self) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            for sha256 in {one.sha256 for one in entry.document.files.values()} if entry.document else ():
                found.setdefault(sha256, []).append(entry)
        return found

    @cached_property
    def _by_digits(self) -> dict[tuple[str, str], Entry]:
        return {(entry.kind, entry.digits): entry for entry in self.entries if not entry.is_work}


def take_stock(root: Path) -> Inventory:
    """Raises `ConfigError` where `root` is no directory. One that is not there has nothing in it."""
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root} is not a directory")
    entries: list[Entry] = []
    leftovers: list[Leftover] = []
    for kind in KINDS:
        for path in _children(root / kind):
            if path.name.startswith(".") and path.name.endswith((REMOVED, TEMPORARY)):
                leftovers.append(_leftover(kind, path))
            elif path.is_dir() and (path.name.endswith(WORK) or not path.name.startswith(".")):
                entries += filter(None, [_entry(root, kind, path)])
    return Inventory(root, tuple(entries), tuple(leftovers))


def _entry(root: Path, kind: str, directory: Path) -> Entry | None:
    """None where it has gone since its name was read."""
    blank = Entry(kind, directory, {})
    who = holder(root, kind, blank.digits)
    try:
        files = dict(_files_below(directory))
        document = None if blank.is_work else read_document(kind, directory)
    except ArtifactError as error:
        entry = Entry(kind, directory, files, problem=str(error), holder=who)
    except OSError as error:
        entry = Entry(
            kind, directory, {}, problem=f"cannot be read: {error.strerror}", is_readable=False, holder=who
        )
    else:
        return Entry(kind, directory, files, document, holder=who)
    return entry if directory.exists() else None


def _leftover(kind: str, path: Path) -> Leftover:
    if path.is_dir():
        return Leftover(kind, path, dict(_files_below(path)))
    try:
        return Leftover(kind, path, {"": path.lstat()})
    except FileNotFoundError:
        return Leftover(kind, path, {})


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir(), key=lambda path: path.name.removeprefix("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files_below(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Links are followed: a large part may lie on another disk. Raises `OSError`."""
    waiting, seen = [""], set()
    while waiting:
        folder = waiting.pop()
        with suppress(FileNotFoundError), os.scandir(directory / folder) as items:
            for item in items:
                with suppress(FileNotFoundError):  # gone meanwhile, or a link to nowhere
                    status = item.stat()
                    if not item.is_dir():
                        yield folder + item.name, status
                    elif (status.st_dev, status.st_ino) not in seen:
                        seen.add((status.st_dev, status.st_ino))
                        waiting.append(f"{folder}{item.name}/")


def _modified(path: Path, files: Files) -> float:
    """Of the youngest file; where there is none, of the directory. Now, where that has gone."""
    times = [status.st_mtime for status in files.values()]
    if not times:
        with suppress(OSError):
            times = [path.stat().st_mtime]
    return max(times, default=time.time())


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(TEMPORARY)
