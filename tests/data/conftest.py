"""What the tests of data sources share."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder as torchvision lays it down, with `flowers/` beside; absent on most machines."""
    root = os.environ.get("DISTILL_TEST_DATA")
    if not root:
        pytest.skip("DISTILL_TEST_DATA is not set")
    return Path(root)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
