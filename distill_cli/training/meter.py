"""Averages of an epoch's losses, fetched from the device in few pieces, and the check that they are finite."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from distill_cli.errors import TrainingDiverged

REMEDY = "lower the learning rate, set clip_norm, or use precision=fp32"


class Meter:
    """Collects losses on the device; `settle` brings them over. Sums are kept, so that a resume adds on."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.steps = 0
        self._pending: list[Mapping[str, Tensor]] = []

    def add(self, losses: Mapping[str, Tensor]) -> None:
        self._pending.append(losses)

    def __len__(self) -> int:
        return len(self._pending)

    def settle(self, next_step: int) -> None:
        """Add what is pending. Raises `TrainingDiverged` naming the first step that is not finite.

        `next_step` is the number of steps done since training began.
        """
        if not self._pending:
            return
        names = list(self._pending[0])
        rows = torch.stack(
            [torch.stack([losses[name].float() for name in names]) for losses in self._pending]
        )
        first = next_step - len(self._pending)
        self._pending.clear()
        for number, row in enumerate(rows.tolist()):
            if not all(map(math.isfinite, row)):
                shown = ", ".join(f"{name} {value:g}" for name, value in zip(names, row, strict=True))
                raise TrainingDiverged(f"training diverged at step {first + number + 1} ({shown}); {REMEDY}")
            for name, value in zip(names, row, strict=True):
                self.sums[name] = self.sums.get(name, 0.0) + value
            self.steps += 1

    def means(self) -> dict[str, float]:
        return {name: total / self.steps for name, total in self.sums.items()}

    def state(self) -> dict[str, object]:
        assert not self._pending, "settle before saving"
        return {"sums": dict(self.sums), "steps": self.steps}

    def load(self, state: Mapping[str, object]) -> None:
        self.sums = dict(state["sums"])  # type: ignore[call-overload]
        self.steps = int(state["steps"])  # type: ignore[call-overload]
