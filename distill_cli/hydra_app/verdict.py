"""Any exception as the exit code and the one line a user gets.

The same judgement within a job and around it, so that a full disk or a wrong value reads alike wherever it
turns up. What is not recognised is a bug and says so.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from distill_cli.errors import DistillError, Interrupted, ResourceError
from distill_cli.hydra_app.complaints import explain

ERRNO_CODES = {
    errno.ENOSPC: 6,
    errno.EDQUOT: 6,
    errno.EFBIG: 6,
    errno.EIO: 6,
    errno.EINTR: 6,
    errno.EACCES: 6,
    errno.EPERM: 6,
    errno.EROFS: 6,
    errno.EMFILE: 6,
    errno.ENOTDIR: 2,
    errno.EISDIR: 2,
    errno.EEXIST: 2,
    errno.ENAMETOOLONG: 2,
}
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
MAY_NOT = "may this user write there? Else set paths.artifacts or paths.outputs"
OUT_OF_MEMORY = "out of memory; take a smaller batch_size, or raise accumulation"

LOST_JOBS = {  # joblib's error, and submitit's
    "TerminatedWorkerError": "a parallel job was killed, probably out of memory; lower hydra.launcher.n_jobs",
    "UncompletedJobError": "a job ended without a result, killed or interrupted; the same command resumes",
}


@dataclass(frozen=True)
class Verdict:
    exit_code: int
    message: str  # empty: say nothing
    is_internal: bool = False


def judge(error: BaseException, overrides: Sequence[str] = ()) -> Verdict:
    """`overrides` as Hydra got them, for the names in a complaint about the config."""
    if isinstance(error, DistillError | Interrupted):
        return Verdict(error.exit_code, " ".join(str(error).split()))
    if isinstance(error, KeyboardInterrupt):
        return Verdict(130, str(Interrupted(130)))
    if isinstance(error, BrokenPipeError):
        return Verdict(141, "")  # what a shell reports for a reader that left
    if complaint := explain(error, overrides):
        return Verdict(2, complaint)
    return _judge_resources(error) or Verdict(1, f"internal error: {describe(error)}", is_internal=True)


def describe(error: BaseException) -> str:
    """`TypeError: first line`"""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def _judge_resources(error: BaseException) -> Verdict | None:
    if is_out_of_memory(error):
        return Verdict(6, OUT_OF_MEMORY)
    if is_lost_job(error):
        return Verdict(6, LOST_JOBS[type(error).__name__])
    cause = error if isinstance(error, OSError) else error.__cause__  # logging wraps its own in a ValueError
    if isinstance(cause, OSError) and cause.errno in ERRNO_CODES:
        where = f": {cause.filename}" if cause.filename else ""
        remedy = f"; {MAY_NOT}" if cause.errno in NOT_ALLOWED else ""
        return Verdict(ERRNO_CODES[cause.errno], f"{cause.strerror}{where}{remedy}")
    return None


def is_lost_job(error: BaseException) -> bool:
    """Whether a launcher has missed a job's process."""
    return type(error).__name__ in LOST_JOBS


def is_out_of_memory(error: BaseException | None) -> bool:
    """By name and words, because torch is not imported here; also where it was the cause of another one."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, ResourceError):
        return is_out_of_memory(error.__cause__)
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
