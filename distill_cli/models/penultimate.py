"""The penultimate features of a model, (batch, width): what goes into its last linear layer, the classifier.

They are caught as they pass, so any model with a linear classifier works unchanged, torchvision's and timm's too.
A teacher's are stored or compared with, a student's carry its gradient. As with `Taps`, a teacher's are caught in
eval mode only and a student's in train mode only: no pass of validation keeps its features alive.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from distill_cli.errors import ConfigError

STORED = "soft_labels.embedding=true: the teacher"


class Penultimate:
    """Remembers the features of the model's latest forward pass. Raises `ConfigError` for a model without.

    `what` opens the messages: who wants them, and whose they are. `training`: in which mode they are caught.
    """

    def __init__(self, model: nn.Module, what: str = STORED, *, training: bool = False) -> None:
        classifier = classifier_of(model)
        if classifier is None:
            raise ConfigError(f"{what} has no linear layer to take an embedding from")
        self.what, self.training, self.width = what, training, classifier.in_features
        self._features: Tensor | None = None
        classifier.register_forward_pre_hook(self._catch)

    def __getstate__(self) -> dict[str, Any]:
        """For a copy of the model, hooks included: torch copies no tensor that is in the middle of a graph."""
        return {**self.__dict__, "_features": None}

    def take(self) -> Tensor:
        """float32 (batch, width), once; with its gradient, where the pass had one."""
        features, self._features = self._features, None
        if features is None or features.ndim != 2:
            shape = "nothing" if features is None else tuple(features.shape)
            raise ConfigError(f"{self.what} gives its last linear layer {shape}, not (batch, width)")
        return features.float()

    def _catch(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if module.training is self.training:
            self._features = inputs[0]


def classifier_of(model: nn.Module) -> nn.Linear | None:
    """The last linear layer, in the order in which modules are registered; None: there is none."""
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return linear[-1] if linear else None
