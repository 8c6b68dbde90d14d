import logging

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test works in its own empty directory, with no settings of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in ("HYDRA_FULL_ERROR", "DISTILL_ARTIFACTS", "DISTILL_DATA", "CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def logging_as_before():
    """Hydra sets up the root logger for good; here only for a test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
