"""Writing files for keeps: a temporary name in the same directory, fsync, rename, fsync of the directory.

A reader therefore sees a whole file or none. Whatever fails leaves no temporary file behind (a kill does; the
names start with a dot, end in `.tmp`, and are swept by the next build).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from distill_cli.errors import ArtifactError

TEMPORARY = ".tmp"
DIGEST_BYTES = 32


def write_atomic(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Call `write` with an open binary file that becomes `path` when everything is on disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a failing write() does not know its file
        raise


def write_bytes(path: Path, content: bytes) -> None:
    write_atomic(path, lambda file: file.write(content))


def write_json(path: Path, value: Any) -> None:
    """Readable JSON with a stable order, so that equal values are equal bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Raises `ArtifactError` where the file is missing or is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing") from None
    except (ValueError, UnicodeDecodeError):
        raise ArtifactError(f"{path} is corrupt: not JSON; remove {path.parent} and run again") from None


def sync_directory(directory: Path) -> None:
    """Make renames in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def write_sealed(path: Path, content: bytes) -> None:
    """`content` followed by its own sha256: one file, one rename, and damage does not go unnoticed."""
    write_bytes(path, content + sha256(content).digest())


def read_sealed(path: Path) -> bytes:
    """What `write_sealed` was given. Raises `ArtifactError` where a byte differs."""
    raw = path.read_bytes()
    content, seal = raw[:-DIGEST_BYTES], raw[-DIGEST_BYTES:]
    if sha256(content).digest() != seal:
        raise ArtifactError(f"{path} is corrupt: its sha256 differs; remove it to start this stage again")
    return content


def sweep_temporary(directory: Path) -> None:
    """Remove what a killed writer left behind. Only for a directory this process holds the lock of."""
    for path in directory.rglob(f".*{TEMPORARY}"):
        path.unlink(missing_ok=True)
