"""What is caught of a model beside its logits, as it passes: features of some layers, and the embedding."""

from __future__ import annotations

from dataclasses import dataclass, replace

from distill_cli.losses.outputs import Outputs
from distill_cli.models.penultimate import Penultimate
from distill_cli.models.taps import Taps


@dataclass(frozen=True)
class Insights:
    """Of one model. What it has caught is handed on once."""

    taps: Taps | None = None
    penultimate: Penultimate | None = None

    def join(self, outputs: Outputs) -> Outputs:
        """The outputs of the latest forward pass, with what was caught in it."""
        return replace(
            outputs,
            features=() if self.taps is None else self.taps.take(),
            embedding=None if self.penultimate is None else self.penultimate.take(),
        )
