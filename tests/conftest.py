"""Shared by all tests: one thread a process, so that tests can run side by side and bytes repeat."""

import os
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # also for the commands that tests start


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def real_data() -> Path:
    """A torchvision root with real data sets; the test skips where there is none."""
    root = os.environ.get("DISTILL_TEST_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("needs real data: set DISTILL_TEST_DATA to a torchvision root")
    return Path(root)
