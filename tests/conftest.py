"""Shared by all tests: one thread a process, so that tests can run side by side and bytes repeat."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # also for the commands that tests start
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # tests in the background of a shell; commands would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


def pytest_terminal_summary(terminalreporter):
    """What tests/faults has tried, in one line: each test says how much it did."""
    tried = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, count in report.user_properties if report.when == "call" else ():
            tried[name] += count
    if tried:
        counts = ", ".join(f"{count:,} {name}" for name, count in sorted(tried.items()))
        terminalreporter.write_line(f"survived or detected: {counts}")
