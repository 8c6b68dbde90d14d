"""A disk as a power cut could have left it, rebuilt from a log of operations.

What was synced is there: the content of a file up to its last fsync, and the entries of a directory (files that
were created, renamed or removed in it) up to the directory's last fsync. Of all else, anything may be missing,
whatever the order it was done in; and a file whose entry is there may be empty, cut, or full of zeros.
"""

import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from operations import Operation

ENTRIES = ("create", "mkdir", "unlink", "rmdir", "rename", "replace")


@dataclass(frozen=True)
class Loss:
    """What becomes of things that were not synced."""

    has_entry: Callable[[], bool]  # whether the next entry is there
    content: Callable[[bytes, bytes], bytes]  # of a file, from what was synced of it and what was written


def nothing_lost() -> Loss:
    return Loss(lambda: True, lambda synced, written: written)


def all_lost() -> Loss:
    return Loss(lambda: False, lambda synced, written: synced)


def torn(seed: int) -> Loss:
    """All entries are there; of what was not synced no content, or zeros, or a part."""
    return Loss(lambda: True, _torn_content(random.Random(seed)))


def reordered(seed: int) -> Loss:
    """Any of the entries, any of the content."""
    chance = random.Random(seed)
    return Loss(lambda: chance.random() < 0.5, _torn_content(chance))


def _torn_content(chance: random.Random) -> Callable[[bytes, bytes], bytes]:
    def content(synced: bytes, written: bytes) -> bytes:
        zeros = synced + bytes(len(written) - len(synced))
        part = written[: (len(synced) + len(written)) // 2]
        return chance.choice([synced, zeros, part])

    return content


@dataclass(frozen=True)
class PowerCut:
    """Behind the last operation of `log`, which were done below `recorded`."""

    log: Sequence[Operation]
    recorded: Path

    def leave(self, place: Path, loss: Loss) -> None:
        """Do to the tree at `place` what the log did to `recorded`, but for what is lost."""
        for number, operation in enumerate(self.log):
            if operation.name in ENTRIES and (self._is_synced(number) or loss.has_entry()):
                with suppress(FileNotFoundError, FileExistsError):  # what it stands on was lost
                    self._do(number, place, loss)

    def _do(self, number: int, place: Path, loss: Loss) -> None:
        name, path, more = self.log[number]
        here = self._moved(path, place)
        if name == "create":
            here.write_bytes(loss.content(*self._written(number)))
        elif name in ("rename", "replace"):
            here.replace(self._moved(more, place))
        else:
            getattr(os, name)(here)

    def _moved(self, path: str, place: Path) -> Path:
        return place / Path(path).relative_to(self.recorded)

    def _is_synced(self, number: int) -> bool:
        directory = str(Path(self.log[number].path).parent)
        return any(later.name == "fsync" and later.path == directory for later in self.log[number + 1 :])

    def _written(self, number: int) -> tuple[bytes, bytes]:
        """What was synced of the file that operation `number` created, and all that was written to it."""
        synced, written = b"", b""
        for later in self.log[number + 1 :]:
            if later.path == self.log[number].path:
                if later.name == "write":
                    written += later.more
                elif later.name == "fsync":
                    synced = written
                else:
                    break  # renamed or removed: nobody writes to it any more
        return synced, written
