"""Numbers that move while a model trains: temperature, alpha, and the factor of the learning rate.

A schedule is a pure function of `Progress`; it keeps no state, so a resumed run needs none. No torch here:
whether a schedule ever leaves zero is asked when keys are computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from distill_cli.progress import Progress

STRIDE = 997  # steps between two looks; a prime, so that no stair is stepped over in time with it


class Schedule(Protocol):
    def __call__(self, progress: Progress) -> float: ...


def values_of(schedule: Schedule, samples: int = 1000) -> list[float]:
    """What a schedule comes to in the course of a long training, looked at in `samples` places."""
    return [schedule(Progress(STRIDE * step, STRIDE * samples, STRIDE)) for step in range(samples)]


@dataclass(frozen=True)
class Constant:
    """`start`, all the time."""

    start: float

    def __post_init__(self) -> None:
        _require_numbers(start=self.start)

    def __call__(self, progress: Progress) -> float:
        return self.start


@dataclass(frozen=True)
class _Ramp:
    """From `start` to `end` between the fractions `begin` and `until` of training; level before and after."""

    start: float
    end: float
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        _require_numbers(start=self.start, end=self.end, begin=self.begin, until=self.until)
        _require(
            0 <= self.begin < self.until <= 1,
            f"begin={self.begin:g} and until={self.until:g} must be 0 <= begin < until <= 1",
        )

    def _position(self, progress: Progress) -> float:
        """How far along the ramp we are, in [0, 1]."""
        return min(1.0, max(0.0, (progress.fraction - self.begin) / (self.until - self.begin)))


@dataclass(frozen=True)
class Linear(_Ramp):
    """A straight line."""

    def __call__(self, progress: Progress) -> float:
        return self.start + (self.end - self.start) * self._position(progress)


@dataclass(frozen=True)
class Cosine(_Ramp):
    """Half a cosine: slow at both ends."""

    def __call__(self, progress: Progress) -> float:
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * self._position(progress))) / 2


@dataclass(frozen=True)
class Exponential(_Ramp):
    """A constant ratio per step. `start` and `end` must have the same sign; from 0 it never gets away."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(
            self.start == 0 or self.start * self.end > 0,
            f"an exponential cannot go from {self.start:g} to {self.end:g}",
        )

    def __call__(self, progress: Progress) -> float:
        if self.start == 0:
            return 0.0
        return float(self.start * (self.end / self.start) ** self._position(progress))


@dataclass(frozen=True)
class Step:
    """`start * factor ** (step // every)`: a stair that goes down by `factor` every `every` steps."""

    start: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        _require_numbers(start=self.start, factor=self.factor, every=self.every)
        _require(self.every >= 1, f"every={self.every} must be at least 1 step")
        _require(self.factor > 0, f"factor={self.factor:g} must be above 0")

    def __call__(self, progress: Progress) -> float:
        return float(self.start * self.factor ** (progress.step // self.every))


@dataclass(frozen=True)
class Learned:
    """A temperature that trains against the student; as a schedule it is where it starts.

    What learns it is losses/learned_temperature.py. `strength` is the λ of its reversed gradient: from 0 to
    `strongest` along half a cosine, in the fraction `until` of training.
    """

    start: float
    low: float = 1.0
    high: float = 21.0
    per_sample: bool = False
    strongest: float = 1.0
    until: float = 10 / 240

    def __post_init__(self) -> None:
        _require_numbers(start=self.start, low=self.low, high=self.high, strongest=self.strongest)
        _require(
            0 < self.low < self.start < self.high,
            f"start={self.start:g} must lie between low={self.low:g} and high={self.high:g}, and low above 0",
        )
        _require(self.strongest >= 0, f"strongest={self.strongest:g} must not be negative")
        Cosine(0.0, self.strongest, until=self.until)

    def __call__(self, progress: Progress) -> float:
        return self.start

    def strength(self, progress: Progress) -> float:
        return Cosine(0.0, self.strongest, until=self.until)(progress)


@dataclass(frozen=True)
class _WarmUp:
    """Learning rates: a factor on `optimizer.lr`, rising linearly over the first `warmup` epochs."""

    warmup: float = 0.0

    def __post_init__(self) -> None:
        _require_numbers(warmup=self.warmup)
        _require(self.warmup >= 0, f"warmup={self.warmup:g} must not be negative")

    def __call__(self, progress: Progress) -> float:
        if progress.epochs < self.warmup:
            return (progress.step + 1) / (self.warmup * progress.steps_per_epoch + 1)
        return self._factor(progress)

    def _factor(self, progress: Progress) -> float:
        return 1.0

    def _after_warmup(self, progress: Progress) -> float:
        """How much of the time after the warm-up is over, in [0, 1)."""
        first = self.warmup * progress.steps_per_epoch
        return (progress.step - first) / max(1.0, progress.total_steps - first)


@dataclass(frozen=True)
class ConstantRate(_WarmUp):
    """The full learning rate after the warm-up."""


@dataclass(frozen=True)
class LinearRate(_WarmUp):
    """Down to the fraction `end` of the learning rate in a straight line."""

    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_numbers(end=self.end)

    def _factor(self, progress: Progress) -> float:
        return 1 + (self.end - 1) * self._after_warmup(progress)


@dataclass(frozen=True)
class CosineRate(_WarmUp):
    """Down to the fraction `end` of the learning rate along half a cosine (arXiv:1608.03983)."""

    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_numbers(end=self.end)

    def _factor(self, progress: Progress) -> float:
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * self._after_warmup(progress))) / 2


@dataclass(frozen=True)
class StepRate(_WarmUp):
    """Times `factor` at each of the `milestones` (in epochs)."""

    milestones: Sequence[float] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        is_list = isinstance(self.milestones, Sequence) and not isinstance(self.milestones, str)
        _require(is_list, f"milestones={self.milestones} must be a list of epochs")
        _require_numbers(factor=self.factor)
        for epoch in self.milestones:
            _require_numbers(milestones=epoch)

    def _factor(self, progress: Progress) -> float:
        return float(self.factor ** sum(progress.epochs >= epoch for epoch in self.milestones))


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _require_numbers(**values: object) -> None:
    for name, value in values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        _require(is_number, f"{name}={value} must be a number")
