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

from distill_cli.config.targets import TARGET, instantiate, parameters_of
from distill_cli.errors import ConfigError, DistillError

ImageShape = tuple[int, int, int]  # (channels, height, width)

# Arguments that fetch or unpickle weights: of no use where weights of our own follow.
PRETRAINED = ("weights", "pretrained", "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay")


def build_model(
    spec: Mapping[str, Any], *, num_classes: int, image_shape: ImageShape, seed: int, pretrained: bool = True
) -> nn.Module:
    """The network of `spec` in train mode on the CPU; its weights depend on nothing but `seed`.

    `pretrained` False leaves out what would fetch weights, for a network that gets others anyway. Raises
    `ConfigError` where it cannot be made, or does not turn pictures of `image_shape` into
    `num_classes` logits.
    """
    if not pretrained:
        spec = _without_pretrained(spec)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the GPUs as well
        model = _construct(spec, num_classes, image_shape)
        if _is_torchvision(spec):
            _adapt_torchvision(model, spec, num_classes, image_shape[0])
        _check_logits(model, spec[TARGET], num_classes, image_shape)
    return model.train()


def _without_pretrained(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Nor in a spec that this one nests."""
    return {
        key: _without_pretrained(value) if isinstance(value, Mapping) else value
        for key, value in spec.items()
        if key not in PRETRAINED
    }


def _construct(spec: Mapping[str, Any], num_classes: int, image_shape: ImageShape) -> nn.Module:
    try:
        model = instantiate(spec, **_facts_for(spec, num_classes, image_shape))
    except (DistillError, MemoryError):
        raise
    except Exception as error:  # other people's constructors fail in their own ways
        lacks_network = isinstance(error, OSError) and (spec.get("weights") or spec.get("pretrained"))
        remedy = "; no network? pass teacher.checkpoint=FILE.safetensors instead" if lacks_network else ""
        raise ConfigError(f"{spec[TARGET]}: {_in_one_line(error)}{remedy}") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{spec[TARGET]} makes a {type(model).__name__}, not a torch.nn.Module")
    if getattr(model, "aux_logits", False):
        raise ConfigError(f"{spec[TARGET]} has auxiliary outputs; set aux_logits: false")
    return model


def _facts_for(spec: Mapping[str, Any], num_classes: int, image_shape: ImageShape) -> dict[str, Any]:
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
    return {name: fact for name, fact in facts.items() if name in taken and name not in spec}


def _is_torchvision(spec: Mapping[str, Any]) -> bool:
    return str(spec[TARGET]).startswith("torchvision.models.")


def _adapt_torchvision(model: nn.Module, spec: Mapping[str, Any], num_classes: int, channels: int) -> None:
    stem = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if stem is not None and channels != 3:
        _take_channels(stem, channels)
    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    if linears and spec.get("weights") and "num_classes" not in spec:
        _give_classes(linears[-1], num_classes)


@torch.no_grad()
def _take_channels(stem: nn.Conv2d, channels: int) -> None:
    """Let `stem` see the mean of `channels` channels as it saw a grey picture in three equal ones."""
    grey = stem.weight.sum(dim=1, keepdim=True)  # (filters, 1, height, width)
    stem.weight = nn.Parameter(grey.repeat(1, channels, 1, 1) / channels)
    stem.in_channels = channels


def _give_classes(head: nn.Linear, num_classes: int) -> None:
    """Replace the pretrained rows of the classifier by fresh ones."""
    fresh = nn.Linear(head.in_features, num_classes)
    head.weight, head.bias, head.out_features = fresh.weight, fresh.bias, num_classes


def _check_logits(model: nn.Module, target: str, num_classes: int, image_shape: ImageShape) -> None:
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
            f"needed are float logits (2, {num_classes})"
        )


def _in_one_line(error: Exception) -> str:
    return shorten(f"{type(error).__name__}: {error}", width=300, placeholder=" ...")
