"""One file of rows and its seal: format 1, as docs/soft-label-format.md specifies it. NumPy only.

A shard counts only if its seal is there; the seal is written last. The seal says whose rows these are and which
pictures they belong to, so that labels of another teacher or of other pictures are noticed before one is read.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from distill_cli.artifacts.files import (
    Buffer,
    make_directory,
    read_sealed_json,
    sha256_of,
    sweep_temporary,
    write_bytes,
    write_sealed_json,
)
from distill_cli.artifacts.keys import differences
from distill_cli.errors import ArtifactError
from distill_cli.soft_labels.fidelity import is_measure

FORMAT = 1
CRC_BYTES = 4 << 20  # one crc32 for each so many bytes of the file
REMEDY = "remove it and run distill gen-soft-labels again"


@dataclass(frozen=True)
class Seal:
    """What is promised about a shard's bytes."""

    format: int
    labels: str  # key of the label set
    split: str
    part: str
    view: int
    start: int
    stop: int
    samples: str
    shape: list[int]
    dtype: Any
    finite: bool
    error: Mapping[str, Any] | None  # of the encoding, see fidelity.py; None for embeddings
    bytes: int
    crc32: list[int]
    sha256: str

    def check(self, content: Buffer, path: Path) -> int:
        """Where in the file's bytes the rows begin. Raises `ArtifactError` where a byte differs."""
        if len(content) != self.bytes:
            raise ArtifactError(f"{path} has {len(content)} bytes, its seal says {self.bytes}; {REMEDY}")
        if crc32_of(content) != self.crc32:
            raise ArtifactError(f"{path} is corrupt: its crc32 differs; {REMEDY}")
        try:
            shape, dtype, start = _header(content)
        except ValueError as error:
            raise ArtifactError(f"{path} is not an array of numbers: {error}; {REMEDY}") from None
        if (shape, dtype) != (self.shape, self.dtype):
            raise ArtifactError(
                f"{path} has rows of {shape} {dtype}, its seal says {self.shape} {self.dtype}; {REMEDY}"
            )
        return start


@dataclass(frozen=True)
class Shard:
    """Rows of the samples [start, stop) of a split in one view; `path` ends in .npy."""

    path: Path
    labels: str  # key of the label set
    split: str  # train, validation, test
    part: str  # logits, embedding
    view: int
    start: int
    stop: int
    samples: str  # digest of what the teacher saw

    @property
    def seal_path(self) -> Path:
        return self.path.with_suffix(".json")

    @property
    def rows(self) -> int:
        return self.stop - self.start

    def is_sealed(self) -> bool:
        """Whether `seal` finds nothing wrong."""
        return self.problem() is None

    def problem(self) -> ArtifactError | None:
        """What speaks against using the rows, as far as can be seen without reading them."""
        try:
            self.seal()
        except ArtifactError as error:
            return error
        return None

    def write(self, rows: np.ndarray, error: Mapping[str, Any] | None = None) -> None:
        """The rows, then the seal; each atomically."""
        assert len(rows) == self.rows, (rows.shape, self.start, self.stop)
        content = _npy(rows)
        try:
            make_directory(self.path.parent)
            self.seal_path.unlink(missing_ok=True)  # never an old seal on new rows
            write_bytes(self.path, *content)
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as blocked:
            raise ArtifactError(f"{blocked.filename} is in the way; {REMEDY}") from None
        seal = Seal(
            format=FORMAT,
            **self._identity(),
            shape=list(rows.shape),
            dtype=descr(rows.dtype),
            finite=True,
            error=error,
            **_checksums(content),
        )
        write_sealed_json(self.seal_path, asdict(seal))

    def sweep(self) -> None:
        """Remove what killed writers left. Only for who alone may write this shard now."""
        for path in (self.path, self.seal_path):
            sweep_temporary(path.parent, path.name)

    def seal(self) -> Seal:
        """Of rows that are there, of the right size, and of this teacher and these very pictures.

        Raises `ArtifactError` naming what is missing, damaged or different. The rows themselves are not read.
        """
        if not self.seal_path.is_file():
            raise ArtifactError(f"soft labels are incomplete: {self.seal_path} is missing; {REMEDY}")
        seal = read_seal(self.seal_path)
        expected = self._identity()
        differing = differences(expected, {field: getattr(seal, field) for field in expected})
        if differing:
            raise ArtifactError(
                f"{self.path} was made from another teacher, other pictures or views ({differing[0]}); {REMEDY}"
            )
        if not self.path.is_file():
            raise ArtifactError(f"{self.path} is missing; {REMEDY}")
        size = self.path.stat().st_size
        if size != seal.bytes:
            raise ArtifactError(f"{self.path} has {size} bytes, its seal says {seal.bytes}; {REMEDY}")
        return seal

    def _identity(self) -> dict[str, Any]:
        names = ("labels", "split", "part", "view", "start", "stop", "samples")
        return {name: getattr(self, name) for name in names}


def read_seal(path: Path) -> Seal:
    """Raises `ArtifactError` where it is missing, damaged or of another format."""
    found = read_sealed_json(path, REMEDY)
    if found.get("format") != FORMAT:
        raise ArtifactError(f"{path} is of format {found.get('format')}, not {FORMAT}; {REMEDY}")
    if not _is_seal(found):
        raise ArtifactError(f"{path} is not a seal of format {FORMAT}; {REMEDY}")
    return Seal(**found)


def _is_seal(found: Mapping[str, Any]) -> bool:
    """Somebody else may have written it, digest and all."""
    texts = ("labels", "split", "part", "samples", "sha256")
    numbers = ("view", "start", "stop", "bytes")
    lists = ("shape", "crc32")
    return (
        set(found) == {field.name for field in fields(Seal)}
        and all(isinstance(found[name], str) for name in texts)
        and all(isinstance(found[name], int) for name in numbers)
        and all(isinstance(found[name], list) for name in lists)
        and (found["error"] is None or is_measure(found["error"]))
    )


def audit(seal_path: Path) -> None:
    """Read all bytes of a shard that somebody else knows the samples of. Raises `ArtifactError`."""
    seal, path = read_seal(seal_path), seal_path.with_suffix(".npy")
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; {REMEDY}")
    size = path.stat().st_size
    if size != seal.bytes:
        raise ArtifactError(f"{path} has {size} bytes, its seal says {seal.bytes}; {REMEDY}")
    if sha256_of(path) != seal.sha256:
        raise ArtifactError(f"{path} is corrupt: its sha256 differs; {REMEDY}")


def crc32_of(*content: Buffer) -> list[int]:
    """Of each `CRC_BYTES` of the parts, taken as one."""
    sums, crc, room = [], 0, CRC_BYTES
    for part in content:
        rest = memoryview(part)
        while len(rest):
            piece, rest = rest[:room], rest[room:]
            crc, room = zlib.crc32(piece, crc), room - len(piece)
            if not room:
                sums.append(crc)
                crc, room = 0, CRC_BYTES
    return [*sums, crc] if room < CRC_BYTES else sums


def _checksums(content: Sequence[Buffer]) -> dict[str, Any]:
    digest = sha256()
    for part in content:
        digest.update(part)
    size = sum(len(part) for part in content)
    return {"bytes": size, "crc32": crc32_of(*content), "sha256": digest.hexdigest()}


def _npy(rows: np.ndarray) -> tuple[bytes, memoryview]:
    """An .npy file: its header, and the rows where they are."""
    rows, header = np.ascontiguousarray(rows), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(rows))
    return header.getvalue(), rows.view(np.uint8).reshape(-1).data


def _header(content: Buffer) -> tuple[list[int], Any, int]:
    """Shape, dtype and length of an .npy header. Raises `ValueError` for what is not plain rows in C order."""
    file = io.BytesIO(bytes(content[: 1 << 16]))
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not of version 1.0")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if is_fortran or dtype.hasobject:
        raise ValueError("Fortran order" if is_fortran else "it holds Python objects")
    if file.tell() + int(np.prod(shape)) * dtype.itemsize != len(content):
        raise ValueError("its size does not fit its header")
    return list(shape), descr(dtype), file.tell()


def descr(dtype: np.dtype[Any]) -> Any:
    """NumPy's `descr` as JSON has it: lists for tuples."""
    return _as_lists(np.lib.format.dtype_to_descr(dtype))


def _as_lists(stored: Any) -> Any:
    return [_as_lists(item) for item in stored] if isinstance(stored, list | tuple) else stored
