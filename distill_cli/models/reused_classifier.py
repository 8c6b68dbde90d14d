"""A student that ends in its teacher's classifier: backbone, projector, and the classifier as it is, frozen.

SimKD, Chen et al. 2022, arXiv:2203.14001. The backbone is a model of any spec without its last linear layer; the
projector takes its embedding to the teacher's width through a bottleneck, and is part of the student. In the paper
the projector works on feature maps. This one works on embeddings, so its 3x3 convolution falls away, and so does
the ReLU at its end, since not every teacher's embedding is positive.

It works for models whose last linear layer, in the order in which modules are registered, is their classifier and
gives the logits as they are: our own, and those of torchvision and timm that end in a linear layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from distill_cli.config.targets import LABELS, TARGET
from distill_cli.errors import ConfigError
from distill_cli.models.build import ImageShape, build_model
from distill_cli.models.penultimate import classifier_of


class ReusedClassifier(nn.Module):
    """`width` is that of the teacher's embedding, and so of this model's; the bottleneck has `width / factor`.

    Raises `ConfigError` where the classifier of the backbone cannot be taken off.
    """

    def __init__(
        self,
        *,
        backbone: Mapping[str, Any],
        width: int,
        num_classes: int,
        in_channels: int,
        image_size: tuple[int, int],
        factor: int = 2,
    ) -> None:
        super().__init__()
        shape, seed = (in_channels, *image_size), torch.initial_seed()
        # With the seed of the whole, it starts from the weights that the student would have by itself.
        self.backbone = build_model(backbone, num_classes=num_classes, image_shape=shape, seed=seed)
        embedded = _take_classifier_off(self.backbone, str(backbone[TARGET]), shape)
        hidden = max(1, width // factor)
        self.projector = nn.Sequential(
            nn.Linear(embedded, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, width),
        )
        self.fc = nn.Linear(width, num_classes).requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.projector(self.backbone(pictures)))
        return logits


def wrapped(spec: Mapping[str, Any], width: int) -> dict[str, Any]:
    """The spec of a student of architecture `spec` behind the classifier of a teacher of this width."""
    name = {key: spec[key] for key in LABELS if key in spec}
    return {**name, TARGET: f"{__name__}.ReusedClassifier", "backbone": dict(spec), "width": width}


@torch.no_grad()
def adopt(model: nn.Module, classifier: nn.Linear) -> None:
    """Give a student made from `wrapped` the weights of its teacher's classifier. Raises `ConfigError`."""
    assert isinstance(model, ReusedClassifier), f"{type(model).__name__} reuses no classifier"
    if classifier.weight.shape != model.fc.weight.shape:
        found, needed = tuple(classifier.weight.shape), tuple(model.fc.weight.shape)
        raise ConfigError(
            f"the teacher's last linear layer has weights {found}, needed are {needed}: it is not its classifier; "
            "use another loss"
        )
    model.fc.weight.copy_(classifier.weight)
    model.fc.bias.copy_(torch.zeros(()) if classifier.bias is None else classifier.bias)


def _take_classifier_off(model: nn.Module, target: str, image_shape: ImageShape) -> int:
    """Width of the embedding that the model, in train mode, gives from now on."""
    classifier = classifier_of(model)
    if classifier is None:
        raise ConfigError(f"{target} has no linear classifier to replace; use another student or loss")
    path = next(name for name, module in model.named_modules() if module is classifier)
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, nn.Identity())
    with torch.no_grad():
        embedding = model.eval()(torch.zeros(2, *image_shape))
    model.train()
    if embedding.shape != (2, classifier.in_features):
        raise ConfigError(
            f"{target} without its last linear layer {path!r} gives {tuple(embedding.shape)}, not an embedding "
            f"(2, {classifier.in_features}); use another student or loss"
        )
    return classifier.in_features
