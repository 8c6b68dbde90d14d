"""The penultimate features of a model, (batch, width): what goes into its last linear layer.

They are caught as they pass, so any model with a linear classifier works unchanged, torchvision's and timm's too.
"""

from __future__ import annotations

from torch import Tensor, nn

from distill_cli.errors import ConfigError


class Penultimate:
    """Remembers the features of the model's latest forward pass. Raises `ConfigError` for a model without."""

    def __init__(self, model: nn.Module) -> None:
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise ConfigError("soft_labels.embedding=true: the teacher has no linear layer to take them from")
        self.width = linear[-1].in_features
        self._features: Tensor | None = None
        linear[-1].register_forward_pre_hook(self._catch)

    def take(self) -> Tensor:
        """float32 (batch, width), once."""
        features, self._features = self._features, None
        if features is None or features.ndim != 2:
            shape = "none" if features is None else tuple(features.shape)
            raise ConfigError(
                f"soft_labels.embedding=true: the teacher's last linear layer gets {shape}, not (batch, width)"
            )
        return features.float()

    def _catch(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._features = inputs[0].detach()
