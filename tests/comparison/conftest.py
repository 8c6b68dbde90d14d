"""A small artifacts directory, in a directory of its own, with no settings of the user's."""

import os

import pytest
from shelf import Shelf

from distill_cli.comparison import Table, load_students, tabulate


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DISTILL_ARTIFACTS", "CI", "HYDRA_FULL_ERROR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk(monkeypatch):
    """Hundreds of artefacts are made here; that they survive a power cut is tested elsewhere."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path / "artifacts")


@pytest.fixture
def compared(shelf):
    """The table of some students."""

    def compare(*places) -> Table:
        return tabulate(load_students([place.directory for place in places]))

    return compare
