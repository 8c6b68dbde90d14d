"""Removing a directory so that a kill in the middle leaves nothing that looks like an artefact.

It gets a dot-name first, by one rename; what then remains of it after a kill, gc sweeps.
"""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from distill_cli.artifacts.files import sync_directory
from distill_cli.cache.inventory import REMOVED, Entry, Leftover
from distill_cli.cache.locks import all_held


def remove_entry(root: Path, entry: Entry) -> None:
    """Raises `ArtifactError` if somebody builds it now. One that has gone already is no error."""
    with all_held(root, entry.kind, entry.digits, entry.title):
        remove_directory(entry.directory)


def remove_leftover(root: Path, leftover: Leftover) -> None:
    """Raises `ArtifactError` if the artefact that it was is being built, or still being removed."""
    with all_held(root, leftover.kind, leftover.digits or "none", leftover.title):
        _remove_leftover(leftover)


def remove_temporary(root: Path, entry: Entry) -> None:
    """What killed writers left in an artefact. Raises `ArtifactError` if somebody builds it now."""
    with all_held(root, entry.kind, entry.digits, entry.title):
        for name in entry.temporary:
            (entry.directory / name).unlink(missing_ok=True)


def _remove_leftover(leftover: Leftover) -> None:
    if leftover.path.is_dir():
        _remove_tree(leftover.path)
    else:
        leftover.path.unlink(missing_ok=True)


def remove_directory(directory: Path) -> None:
    """For who holds the artefact's locks."""
    gone = directory.with_name(f".{directory.name.removeprefix('.')}.{secrets.token_hex(3)}{REMOVED}")
    try:
        directory.rename(gone)
    except FileNotFoundError:
        return
    sync_directory(directory.parent)
    _remove_tree(gone)


def _remove_tree(directory: Path) -> None:
    """To its end, even if another process removes the same. What a link points to stays."""
    if directory.is_symlink():
        directory.unlink(missing_ok=True)
    while directory.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(directory)
