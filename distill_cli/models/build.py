"""From a spec (`conf/model/*.yaml`) to a freshly initialised network that is known to fit the data set.

One decision to know: a network is told about the data set through the arguments its target takes
(`num_classes`, `in_channels` or `in_chans`, `image_size`), and what the spec says itself wins. Torchvision
and timm hide theirs behind `**kwargs`, so they are known by name here; nothing else is.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn

from distill_cli.config.published import names_weights, without_weights
from distill_cli.config.targets import TARGET, instantiate, parameters_of
from distill_cli.errors import ArtifactError, ConfigError, DistillError
from distill_cli.models.pretrained import OWN_FILE, TORCHVISION, fetched

ImageShape = tuple[int, int, int]  # (channels, height, width)


def build_model(
    spec: Mapping[str, Any], *, num_classes: int, image_shape: ImageShape, seed: int, pretrained: bool = True
) -> nn.Module:
    """The network of `spec` in train mode on the CPU; its weights depend on nothing but `seed`, and those it names.

    `pretrained` False leaves out what would fetch weights, for a network that gets others anyway. Raises
    `ConfigError` where it cannot be made, or does not turn pictures of `image_shape` into
    `num_classes` logits, and `ArtifactError` where the weights that it names cannot be had.
    """
    if not pretrained:
        spec = without_weights(spec)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the GPUs as well
        model = _construct(spec, num_classes, image_shape)
        if _is_torchvision(spec):
            _adapt_stem(model, image_shape[0])
            if spec.get("weights") and "num_classes" not in spec:
                _adapt_classifier(model, num_classes)
        _check_logits(model, spec[TARGET], num_classes, image_shape)
    return model.train()


def published_model(spec: Mapping[str, Any], *, num_classes: int, image_shape: ImageShape) -> nn.Module:
    """The network of `spec` with the weights that it names, the classifier's among them, in eval mode on the CPU.

    Raises as `build_model` does, and `ConfigError` where its classes are not `num_classes`.
    """
    with torch.random.fork_rng(devices=[]):
        model = _construct(spec, None, image_shape)
        remedy = "; leave teacher.checkpoint out: its classifier is made anew then, and it is trained"
        _check_logits(model, spec[TARGET], num_classes, image_shape, remedy)
    return model.eval()


def _construct(spec: Mapping[str, Any], num_classes: int | None, image_shape: ImageShape) -> nn.Module:
    """`num_classes` None: as many as its weights know."""
    try:
        with fetched(spec):
            model = instantiate(spec, **_facts_for(spec, num_classes, image_shape))
    except (DistillError, MemoryError):
        raise
    except Exception as error:  # other people's constructors fail in their own ways
        if isinstance(error, OSError) and names_weights(spec):
            raise ArtifactError(
                f"{spec[TARGET]}: {_in_one_line(error)}; no network? pass {OWN_FILE}"
            ) from error
        raise ConfigError(f"{spec[TARGET]}: {_in_one_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{spec[TARGET]} makes a {type(model).__name__}, not a torch.nn.Module")
    if hasattr(model, "aux_logits") and names_weights(spec):  # its artefact would be built without them
        raise ConfigError(f"{spec[TARGET]}: published weights have auxiliary outputs; take another network")
    if getattr(model, "aux_logits", False):
        raise ConfigError(f"{spec[TARGET]} has auxiliary outputs; set aux_logits: false")
    return model


def _facts_for(spec: Mapping[str, Any], num_classes: int | None, image_shape: ImageShape) -> dict[str, Any]:
    channels, height, width = image_shape
    facts = {
        "num_classes": num_classes,
        "in_channels": channels,
        "in_chans": channels,
        "image_size": (height, width),
    }
    taken = parameters_of(spec)
    if spec[TARGET].startswith("timm."):
        taken |= {"num_classes", "in_chans"}
    if _is_torchvision(spec) and not spec.get("weights"):  # with weights it insists on the classes of these
        taken |= {"num_classes"}
    return {
        name: fact for name, fact in facts.items() if name in taken and name not in spec and fact is not None
    }


def _is_torchvision(spec: Mapping[str, Any]) -> bool:
    return str(spec[TARGET]).startswith(TORCHVISION)


@torch.no_grad()
def _adapt_stem(model: nn.Module, channels: int) -> None:
    """Let the first convolution see the mean of so many channels as it saw a grey picture in three equal ones."""
    stem = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if stem is None or channels == 3:
        return
    grey = stem.weight.sum(dim=1, keepdim=True)  # (filters, 1, height, width)
    stem.weight = nn.Parameter(grey.repeat(1, channels, 1, 1) / channels)
    stem.in_channels = channels


def _adapt_classifier(model: nn.Module, num_classes: int) -> None:
    """Replace the pretrained rows of the classifier by fresh ones, where the classes are others."""
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers or len(layers[-1].weight) == num_classes:
        return
    head = layers[-1]
    head.weight = nn.Parameter(head.weight.new_empty(num_classes, *head.weight.shape[1:]))
    head.bias = nn.Parameter(head.weight.new_empty(num_classes))
    head.reset_parameters()
    if isinstance(head, nn.Linear):
        head.out_features = num_classes
    else:
        head.out_channels = num_classes


def _check_logits(
    model: nn.Module, target: str, num_classes: int, image_shape: ImageShape, remedy: str = ""
) -> None:
    try:
        with torch.no_grad():
            logits = model.eval()(torch.zeros(2, *image_shape))
    except MemoryError:
        raise
    except Exception as error:  # a network's own reasons to refuse a picture are of any kind
        raise ConfigError(f"{target} fails on pictures of {image_shape}: {_in_one_line(error)}") from error
    is_tensor = isinstance(logits, Tensor) and logits.is_floating_point()
    if not is_tensor or logits.shape != (2, num_classes):
        found = (
            f"{logits.dtype} {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        )
        raise ConfigError(
            f"{target} turns two pictures of {image_shape} into {found}; "
            f"needed are float logits (2, {num_classes}){remedy}"
        )


def _in_one_line(error: Exception) -> str:
    return shorten(f"{type(error).__name__}: {error}", width=300, placeholder=" ...")
