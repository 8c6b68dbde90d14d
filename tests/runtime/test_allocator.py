"""Memory that is given back stays in the process, where the C library can be told so."""

import ctypes
import subprocess
import sys

import pytest

from distill_cli.runtime import allocator

PROGRAM = """
import resource, sys, torch
from distill_cli.runtime.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
for step in range(6):
    if step == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(2_000_000) for _ in range(24)]  # 8 MB each
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    found = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(found.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="needs glibc")
def test_a_step_that_takes_what_the_last_one_gave_back_has_no_page_faults():
    assert page_faults("kept") < 100 < page_faults("default")


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert allocator.keep_freed_memory.__wrapped__() is False
