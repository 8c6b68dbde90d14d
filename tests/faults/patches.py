"""Machines that this one is not. An order names them, and its child calls them first."""

import errno
import fcntl
import itertools
import os
import shutil
import time
from typing import NamedTuple, NoReturn

import torch

import distill_cli.soft_labels.writer
import distill_cli.training.loop


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def no_locks() -> None:
    """A file system without locks of any kind."""
    _refuse_locks(errno.ENOLCK)


def no_lock_calls() -> None:
    """One that does not even know what a lock is."""
    _refuse_locks(errno.ENOSYS)


def _refuse_locks(number: int) -> None:
    def refuse(*arguments: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    fcntl.lockf = fcntl.flock = refuse


def small_disk() -> None:
    shutil.disk_usage = lambda path: Usage(100_000, 99_000, 1_000)


def jumping_clock() -> None:
    """The wall clock goes back a day at each look; the monotonic one does not."""
    jumps = itertools.count()
    time.time = lambda: 2e9 - 86_400 * next(jumps)


def small_device() -> None:
    """Memory runs out in the teacher's forward pass over what it labels, and in a training step."""

    def run_out(*arguments: object, **more: object) -> NoReturn:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    distill_cli.soft_labels.writer.predict = run_out
    distill_cli.training.loop.Trainer._step = run_out
