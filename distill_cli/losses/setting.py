"""What a loss is told before training, beyond the shapes of what it will see.

A loss with parts of its own (a connector, a memory) is an `nn.Module` with a method
`fit(student: Outputs, teacher: Outputs, setting: Setting)`. It is called once, with the outputs of two samples,
and makes the parts there. They train with the student, are in its checkpoint, and are no part of what is saved.
Their randomness comes from torch's default generator, which is seeded around the call.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from distill_cli.errors import ConfigError


@dataclass(frozen=True)
class Setting:
    """Of one training of a student."""

    labels: Tensor  # of all train samples, -1 where there is none, (samples,), on the host
    classes: int
    classifier: nn.Linear | None = None  # a copy of the teacher's last layer, not trained; None: it has none
    known_classes: Tensor | None = None  # columns of the classes that `student.init` knew, (known,)
    views: int = 1  # of a sample in a step: that many rows side by side have its number
    shown: Tensor | None = None  # numbers of the samples that the student is shown; None: all of them
    mixes: bool = False  # views show mixtures of two samples, under the number of the first

    @property
    def samples(self) -> int:
        """Of the train part: `Outputs.index` is below it."""
        return len(self.labels)

    def require_samples(self, loss: str) -> None:
        """For a loss that remembers them by their numbers. Raises `ConfigError` where mixtures are shown."""
        if self.mixes:
            raise ConfigError(
                f"loss={loss} remembers each sample by itself, which a mixture is not; set views.mixing=none"
            )
