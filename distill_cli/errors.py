"""What can go wrong for a user, with the exit code each kind ends with.

The message of every `DistillError` is one line: what is wrong, and what to type or to do instead.
"""

from __future__ import annotations


class DistillError(Exception):
    """A mistake or a misfortune the user can act on."""

    exit_code = 1


class ConfigError(DistillError):
    """A wrong name, type or value in the configuration or on the command line."""

    exit_code = 2


class GateFailed(DistillError):
    """A threshold under `gates` was missed. `accuracy` is the student's on validation, for who searches on."""

    exit_code = 3
    accuracy: float | None = None


class ArtifactError(DistillError):
    """An artefact is missing, corrupt, or belongs to something else."""

    exit_code = 4


class DataError(DistillError):
    """The data set is missing or cannot be read."""

    exit_code = 5


class ResourceError(DistillError):
    """Out of disk space or memory."""

    exit_code = 6


class TrainingDiverged(DistillError):
    """A loss or a logit is not finite."""

    exit_code = 7


class Interrupted(BaseException):
    """A signal asked the process to stop; what was done so far is saved.

    Not an `Exception`, so that nothing between the training loop and the command line swallows it.
    """

    def __init__(self, exit_code: int, message: str = "interrupted; the same command resumes") -> None:
        super().__init__(message)
        self.exit_code = exit_code
