"""Averages of an epoch's losses, fetched from the device in few pieces, and the check that they are finite."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from distill_cli.errors import TrainingDiverged

REMEDY = "lower optimizer.lr or set clip_norm=1, under student. or teacher., or use precision=fp32"


class Meter:
    """Collects losses on the device; `settle` brings them over. Sums are kept, so that a resume adds on."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.steps = 0
        self._names: list[str] = []
        self._pending: list[Tensor] = []  # one after the other, in the order of names
        self._weights: list[float] = []

    def add(self, losses: Mapping[str, Tensor], weight: float = 1.0) -> None:
        """Losses of a step, or of a part of one: the weights of its parts add up to 1."""
        self._names = list(losses)
        self._pending += losses.values()
        self._weights.append(weight)

    def settle(self, next_step: int) -> None:
        """Add what is pending. Raises `TrainingDiverged` naming the first step that is not finite.

        `next_step` is the number of steps done since training began.
        """
        if not self._pending:
            return
        values = torch.stack([value.float() for value in self._pending]).tolist()
        step = next_step - round(sum(self._weights)) + 1
        done = 0.0  # of that step
        for number, weight in enumerate(self._weights):
            row = values[number * len(self._names) : (number + 1) * len(self._names)]
            self._add(row, weight, step)
            done += weight
            if done > 1 - 1e-6:
                self.steps, step, done = self.steps + 1, step + 1, 0.0
        self._pending.clear()
        self._weights.clear()

    def _add(self, row: list[float], weight: float, step: int) -> None:
        if not all(map(math.isfinite, row)):
            shown = ", ".join(f"{name} {value:g}" for name, value in zip(self._names, row, strict=True))
            raise TrainingDiverged(f"training diverged at step {step} ({shown}); {REMEDY}")
        for name, value in zip(self._names, row, strict=True):
            self.sums[name] = self.sums.get(name, 0.0) + value * weight

    def means(self) -> dict[str, float]:
        return {name: total / self.steps for name, total in self.sums.items()}

    def state(self) -> dict[str, object]:
        assert not self._pending, "settle before saving"
        return {"sums": dict(self.sums), "steps": self.steps}

    def load(self, state: Mapping[str, object]) -> None:
        self.sums = dict(state["sums"])  # type: ignore[call-overload]
        self.steps = int(state["steps"])  # type: ignore[call-overload]
