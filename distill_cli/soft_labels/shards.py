"""One file of rows and its seal: format 1, as docs/soft-label-format.md specifies it. NumPy only.

A shard counts only if its seal is there; the seal is written last. The seal says which pictures the rows
belong to, so that labels of other pictures are noticed before one is read.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from distill_cli.artifacts.files import read_json, write_bytes, write_json
from distill_cli.errors import ArtifactError

FORMAT = 1
CRC_BYTES = 4 << 20  # one crc32 for each so many bytes of the file


@dataclass(frozen=True)
class Shard:
    """Rows of the samples [start, stop) of a split in one view; `path` ends in .npy."""

    path: Path
    samples: str  # digest of what the teacher saw
    start: int
    stop: int
    view: int

    @property
    def seal_path(self) -> Path:
        return self.path.with_suffix(".json")

    @property
    def rows(self) -> int:
        return self.stop - self.start

    def is_sealed(self) -> bool:
        """Whether the rows are there, of the right size, and of these very pictures."""
        try:
            seal = read_json(self.seal_path)
        except ArtifactError:
            return False
        fits = isinstance(seal, dict) and seal.get("format") == FORMAT and seal.get("samples") == self.samples
        return fits and self.path.is_file() and self.path.stat().st_size == seal.get("bytes")

    def write(self, rows: np.ndarray) -> None:
        """The rows, then the seal; each atomically."""
        assert len(rows) == self.rows, (rows.shape, self.start, self.stop)
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ascontiguousarray(rows), allow_pickle=False)
        content = buffer.getvalue()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.seal_path.unlink(missing_ok=True)  # never an old seal on new rows
        write_bytes(self.path, content)
        write_json(self.seal_path, asdict(self._seal(rows, content)))

    def _seal(self, rows: np.ndarray, content: bytes) -> Seal:
        return Seal(
            format=FORMAT,
            start=self.start,
            stop=self.stop,
            view=self.view,
            samples=self.samples,
            shape=list(rows.shape),
            dtype=np.lib.format.dtype_to_descr(rows.dtype),
            finite=True,
            bytes=len(content),
            crc32=crc32_of(content),
            sha256=sha256(content).hexdigest(),
        )

    def read(self) -> np.ndarray:
        """The rows in memory, after their checksums have been compared. Raises `ArtifactError`."""
        seal = self.seal()
        content = self._content(seal)
        if crc32_of(content) != seal.crc32:
            raise ArtifactError(f"{self.path} is corrupt: its crc32 differs; {REMEDY}")
        try:
            rows = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        except ValueError as error:
            raise ArtifactError(f"{self.path} is not an array of numbers: {error}; {REMEDY}") from None
        described = (list(rows.shape), np.lib.format.dtype_to_descr(rows.dtype))
        if described != (seal.shape, seal.dtype) or not rows.flags.c_contiguous:
            raise ArtifactError(
                f"{self.path} has rows {described}, its seal {seal.shape} {seal.dtype}; {REMEDY}"
            )
        return rows

    def seal(self) -> Seal:
        """Raises `ArtifactError` where the seal is missing, malformed, or of other pictures."""
        if not self.seal_path.is_file():
            raise ArtifactError(f"soft labels are incomplete: {self.seal_path} is missing; {REMEDY}")
        try:
            seal = Seal(**read_json(self.seal_path))
        except TypeError:
            raise ArtifactError(f"{self.seal_path} is not a seal of format {FORMAT}; {REMEDY}") from None
        if seal.format != FORMAT:
            raise ArtifactError(f"{self.seal_path} is of format {seal.format}, not {FORMAT}; {REMEDY}")
        if seal.samples != self.samples or (seal.start, seal.stop, seal.view) != (
            self.start,
            self.stop,
            self.view,
        ):
            raise ArtifactError(f"{self.path} was made from other pictures or views; {REMEDY}")
        return seal

    def _content(self, seal: Seal) -> bytes:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            raise ArtifactError(f"{self.path} is missing; {REMEDY}") from None
        if len(content) != seal.bytes:
            raise ArtifactError(f"{self.path} has {len(content)} bytes, its seal says {seal.bytes}; {REMEDY}")
        return content


REMEDY = "remove it and run distill gen-soft-labels again"


@dataclass(frozen=True)
class Seal:
    """What is promised about a shard's bytes."""

    format: int
    start: int
    stop: int
    view: int
    samples: str
    shape: list[int]
    dtype: Any
    finite: bool
    bytes: int
    crc32: list[int]
    sha256: str


def crc32_of(content: bytes) -> list[int]:
    view = memoryview(content)
    return [zlib.crc32(view[start : start + CRC_BYTES]) for start in range(0, len(view), CRC_BYTES)]
