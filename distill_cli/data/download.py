"""Fetching a published data set through torchvision, once, when its files are missing.

Files are fetched into a folder beside their place and moved when complete, so that neither a kill nor a
missing network leaves something behind that looks like a data set.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

from distill_cli.errors import DataError

PATIENCE = 20.0  # seconds without an answer


def ensure_files(root: Path, dataset: str, folder: str, names: tuple[str, ...]) -> Path:
    """The folder `root/folder` with the files `names` in it, plain or as `.gz`.

    Downloads `torchvision.datasets.<dataset>` where one is missing. Raises `DataError` where that fails.
    """
    place = root / folder
    missing = [name for name in names if not any((place / f"{name}{end}").is_file() for end in ("", ".gz"))]
    if missing:
        try:
            _download(root, dataset, folder)
        except (OSError, RuntimeError, HTTPException) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"no {missing[0]} in {place}, and the download failed ({reason}); "
                f"put the files there or set paths.data=DIR"
            ) from error
    return place


def _download(root: Path, dataset: str, folder: str) -> None:
    with _created(root), TemporaryDirectory(prefix=".download-", dir=root) as beside:
        with redirect_stdout(sys.stderr), impatient():
            import torchvision.datasets

            getattr(torchvision.datasets, dataset)(beside, download=True)
        (root / folder).mkdir(parents=True, exist_ok=True)
        for file in sorted(Path(beside, folder).iterdir()):
            file.replace(root / folder / file.name)


@contextmanager
def _created(folder: Path) -> Iterator[None]:
    """The folder exists inside the block; if that fails, a folder that was not there before goes again."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in new:
            if not any(path.iterdir()):
                path.rmdir()
        raise


@contextmanager
def impatient() -> Iterator[None]:
    """urllib waits for ever unless told otherwise."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
