"""Where training stands: what every schedule is a function of. No torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The moment before an optimizer step."""

    step: int  # optimizer steps already done
    total_steps: int
    steps_per_epoch: int

    @property
    def fraction(self) -> float:
        """The part of training that is done, in [0, 1)."""
        return self.step / self.total_steps

    @property
    def epochs(self) -> float:
        """Epochs done, with the fraction of the running one."""
        return self.step / self.steps_per_epoch
