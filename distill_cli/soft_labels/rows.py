"""Rows of one kind, found by (view, sample), as raw bytes: in one tensor, or read from their files.

Bytes, because then one gather serves every encoding on every device. Every byte's checksum is compared before a
row of its file is handed out. Files are read at a position, not mapped: what a process holds stays bounded, and a
file that somebody cuts meanwhile is an error and not the signal that kills whoever touches a map.
"""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from distill_cli.errors import ArtifactError
from distill_cli.losses.upload import upload
from distill_cli.runtime.shared import shared
from distill_cli.soft_labels.shards import REMEDY, Seal, Shard

MOST_FILES = 16_384  # open at a time
Version = tuple[int, int, int, int]  # device, inode, size, time of change: of one file, whatever its name
WORDS = (torch.int64, torch.int32, torch.int16, torch.uint8)  # wide words are gathered faster


@dataclass(frozen=True)
class Opened:
    """A shard whose seal has been read and fits the encoding."""

    shard: Shard
    seal: Seal

    @classmethod
    def of(cls, shard: Shard, dtype: Any, shape: Sequence[int] | None) -> Opened:
        """`shape` None: any. Raises `ArtifactError` where the seal promises other rows, or the file is cut."""
        seal = shard.seal()
        wanted = [shard.rows, *(seal.shape[1:] if shape is None else shape)]
        if (seal.shape, seal.dtype) != (wanted, dtype):
            raise ArtifactError(
                f"{shard.path} has rows of {seal.shape[1:]} {seal.dtype}, not {wanted[1:]} {dtype}; {REMEDY}"
            )
        return cls(shard, seal)

    def descriptor(self) -> int:
        """The file, open for reading. Raises `ArtifactError` where somebody has removed it since."""
        try:
            return os.open(self.shard.path, os.O_RDONLY)
        except FileNotFoundError:
            raise ArtifactError(f"{self.shard.path} is missing; {REMEDY}") from None

    def start(self, content: bytes) -> int:
        """Where in the file's bytes the rows begin, after their checksums were compared."""
        return self.seal.check(content, self.shard.path)

    def read(self) -> np.ndarray:
        """The rows' bytes, one after the other, after their checksums were compared."""
        with os.fdopen(self.descriptor(), "rb") as file:
            content = file.read()
        return np.frombuffer(content, np.uint8, offset=self.start(content))


class Rows(Protocol):
    def take(self, index: Tensor, view: Tensor) -> Tensor:
        """uint8 (batch, row bytes), for samples and views on the host."""
        ...


class ResidentRows:
    """All rows in one tensor on the device. The jobs of a sweep share it: it is only ever read."""

    def __init__(self, opened: Sequence[Opened], samples: int, row_bytes: int, device: torch.device) -> None:
        sealed = sha256("".join(f"{one.shard.seal_path} {one.seal}\n" for one in opened).encode()).hexdigest()
        key = ("rows", sealed, samples, row_bytes, str(device))
        size = row_bytes * sum(one.shard.rows for one in opened)
        self.samples = samples
        self.rows = shared.get(key, size, lambda: _read(opened, samples, row_bytes).to(device))

    def take(self, index: Tensor, view: Tensor) -> Tensor:
        position = upload(view * self.samples + index, self.rows.device)
        return self.rows.index_select(0, position).view(torch.uint8)


def _read(opened: Sequence[Opened], samples: int, row_bytes: int) -> Tensor:
    """All rows, in views of all samples, as the widest words that they are made of."""
    rows = np.empty((sum(one.shard.rows for one in opened), row_bytes), np.uint8)
    for one in opened:
        first = one.shard.view * samples + one.shard.start
        rows[first : first + one.shard.rows].reshape(-1)[:] = one.read()
    word = next(word for word in WORDS if row_bytes % word.itemsize == 0)
    return torch.from_numpy(rows).view(word)


class FileRows:
    """Rows read from their files when they are asked for; a thread reads and checks files ahead."""

    def __init__(self, opened: Sequence[Opened], block: int, row_bytes: int) -> None:
        self.opened, self.block, self.row_bytes = opened, block, row_bytes
        self.blocks = 1 + max((one.shard.start // block for one in opened), default=0)  # of one view
        self.checked: dict[int, tuple[Version, int]] = {}  # and where the rows of that file begin
        self.files: dict[int, int] = {}  # descriptors of checked files
        self.most_files = _file_limit()
        room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2  # what the page cache can keep
        self.is_cold = sum(one.seal.bytes for one in opened) > room and hasattr(os, "posix_fadvise")
        self.problem: ArtifactError | None = None
        threading.Thread(target=self._read_ahead, args=(room,), name="soft labels", daemon=True).start()

    def take(self, index: Tensor, view: Tensor) -> Tensor:
        if self.problem is not None:
            raise self.problem
        numbers = (view * self.blocks + index // self.block).tolist()
        self._open(set(numbers))
        files, checked, size = self.files, self.checked, self.row_bytes
        first = (index % self.block * size).tolist()
        wanted = [(n, files[n], checked[n][1] + start) for n, start in zip(numbers, first, strict=True)]
        if self.is_cold:  # let the disk work on all rows at once
            for _, file, position in wanted:
                os.posix_fadvise(file, position, size, os.POSIX_FADV_WILLNEED)
        pread = os.pread
        rows = [pread(file, size, position) for _, file, position in wanted]
        for (number, _, _), row in zip(wanted, rows, strict=True):
            if len(row) != size:
                path = self.opened[number].shard.path
                raise ArtifactError(f"{path} was cut while it was read; {REMEDY}")
        return torch.frombuffer(bytearray().join(rows), dtype=torch.uint8).view(len(rows), size)

    def _open(self, needed: set[int]) -> None:
        """Open and check what a batch needs, and close what it does not where too many are open."""
        missing = needed - self.files.keys()
        surplus = max(0, len(self.files) + len(missing) - self.most_files)
        for number in [number for number in self.files if number not in needed][:surplus]:
            os.close(self.files.pop(number))
        for number in missing:
            self.files[number] = self._checked(number)

    def _checked(self, number: int) -> int:
        """A descriptor of a file whose checksums were compared, now or earlier: of this very file."""
        one = self.opened[number]
        file = one.descriptor()
        try:
            version = _version(file)
            if self.checked.get(number, (None, 0))[0] != version:
                content = os.pread(file, version[2] + 1, 0)
                self.checked[number] = version, one.start(content)
        except BaseException:
            os.close(file)
            raise
        return file

    def _read_ahead(self, room: int) -> None:
        """Warm the page cache with what it can keep. The checksums are compared on the way."""
        try:
            for number, one in enumerate(self.opened):
                room -= one.seal.bytes
                if room < 0:
                    return
                os.close(self._checked(number))
        except ArtifactError as error:
            self.problem = error
        except OSError:
            return  # whoever needs the file will meet it again

    def __del__(self) -> None:
        for file in self.files.values():
            os.close(file)


def as_bytes(rows: np.ndarray) -> Tensor:
    """Rows as they are stored, (rows, row bytes)."""
    return torch.from_numpy(np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1))


def _version(file: int) -> Version:
    found = os.fstat(file)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _file_limit() -> int:
    """Half of the files this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most // 2
