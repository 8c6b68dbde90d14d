"""Memory that is given back stays in the process, where the C library can be told so."""

import ctypes
import subprocess
import sys

import pytest

from distill_cli.runtime import allocator

PROGRAM = """
import os, sys, torch
from distill_cli.runtime.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()

def resident() -> int:
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

blocks = [torch.ones(2_000_000) for _ in range(24)]  # 8 MB each
held = resident()
del blocks
print((held - resident()) // 2**20)
"""


def given_back(how: str) -> int:
    """MiB that a process returned to the system when it let go of 183 MiB."""
    found = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(found.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="needs glibc")
def test_memory_that_a_step_gives_back_stays_for_the_next_one():
    """The size of the process, not its page faults: some sandboxes' kernels do not count those."""
    assert given_back("kept") < 20 < 150 < given_back("default")


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert allocator.keep_freed_memory.__wrapped__() is False
