"""Writing files for keeps: a temporary name in the same directory, fsync, rename, fsync of the directory.

A reader therefore sees a whole file or none. Whatever fails leaves no temporary file behind (a kill does; the
names start with a dot, end in `.tmp`, and are swept by the next build). Every operation goes through `os`, one
call each, so that tests can fail or kill any of them.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from distill_cli.artifacts.keys import canonical_json
from distill_cli.errors import ArtifactError

TEMPORARY = ".tmp"
DIGEST = "digest"  # the field of sealed JSON that covers all others
DIGEST_BYTES = 32
Buffer = bytes | memoryview
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_bytes(path: Path, *content: Buffer) -> None:
    """Make `content`, one part after the other, the file at `path`; it is on disk when this returns.

    Raises `OSError` that names `path`, and the bytes needed where there is no space for them.
    """
    temporary = path.with_name(f".{path.name}.{_writer()}{TEMPORARY}")
    try:
        _write_synced(temporary, content)
        os.replace(temporary, path)  # noqa: PTH105 - one call of `os` an operation
        sync_directory(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _named(error, path, sum(len(part) for part in content)) from error
        raise


def _writer() -> str:
    """Who writes: several machines may share a directory, and their process numbers."""
    return f"{sha256(socket.gethostname().encode()).hexdigest()[:6]}-{os.getpid()}-{secrets.token_hex(3)}"


def _write_synced(path: Path, content: Sequence[Buffer]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for part in content:
            rest = memoryview(part)
            while len(rest):
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(error: OSError, path: Path, size: int) -> OSError:
    """The same error about the file that was to be written, not about its temporary name."""
    reason = error.strerror or str(error)
    if error.errno in NO_SPACE:
        reason = f"{reason} ({size:,} bytes are needed)"
    return OSError(error.errno, reason, str(path))


def write_json(path: Path, value: Any) -> None:
    """Readable JSON with a stable order, so that equal values are equal bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_bytes(path, (text + "\n").encode())


class CorruptDocumentError(ArtifactError):
    """A document that is not what was written, whatever it says."""


def read_json(path: Path, remedy: str = "") -> Any:
    """Raises `ArtifactError` where the file is missing or is not JSON; `remedy` says what to do then."""
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing") from None
    except (ValueError, RecursionError):
        raise CorruptDocumentError(f"{path} is corrupt: not JSON; {remedy or _remedy(path)}") from None
    except (IsADirectoryError, NotADirectoryError):
        raise CorruptDocumentError(f"{path} is no file; {remedy or _remedy(path)}") from None


def _remedy(path: Path) -> str:
    return f"remove {path.parent} and run again"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def write_sealed_json(path: Path, value: Mapping[str, Any]) -> None:
    """`value` and a field `digest`, the sha256 of it as canonical JSON: no figure in it changes unnoticed."""
    write_json(path, {**value, DIGEST: _digest_of(value)})


def read_sealed_json(path: Path, remedy: str = "") -> dict[str, Any]:
    """What `write_sealed_json` was given. Raises `ArtifactError` where a value differs from what was written."""
    value = read_json(path, remedy)
    digest = value.pop(DIGEST, None) if isinstance(value, dict) else None
    try:
        is_whole = digest is not None and digest == _digest_of(value)
    except ValueError:  # a number beyond all numbers
        is_whole = False
    if not is_whole:
        raise CorruptDocumentError(f"{path} is corrupt: its digest differs; {remedy or _remedy(path)}")
    return value  # type: ignore[no-any-return]


def _digest_of(value: Any) -> str:
    return sha256(canonical_json(value).encode()).hexdigest()


def make_directory(directory: Path) -> None:
    """With its parents, each of them on disk: what is synced below it cannot vanish with it."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    try:
        directory.mkdir()
    except FileExistsError:
        if not directory.is_dir():  # else another process was faster
            raise
    sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Make renames in `directory` survive a power cut. Raises `OSError` that names it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # the kernel knows a descriptor, and no name
        raise OSError(error.errno, error.strerror, str(directory)) from error
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
    write_bytes(path, content, sha256(content).digest())


def read_sealed(path: Path) -> bytes:
    """What `write_sealed` was given. Raises `ArtifactError` where a byte differs."""
    raw = path.read_bytes()
    content, seal = raw[:-DIGEST_BYTES], raw[-DIGEST_BYTES:]
    if sha256(content).digest() != seal:
        raise ArtifactError(f"{path} is corrupt: its sha256 differs; remove it to start this stage again")
    return content


def sweep_temporary(directory: Path, name: str = "") -> None:
    """Remove what a killed writer left behind, of the file `name` or of all below.

    Only for what this process alone may write now: it holds the lock, or the claim.
    """
    found = directory.glob(f".{name}.*{TEMPORARY}") if name else directory.rglob(f".*{TEMPORARY}")
    for path in found:
        path.unlink(missing_ok=True)
