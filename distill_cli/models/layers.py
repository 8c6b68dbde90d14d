"""Which layers of a network are worth comparing with another's, found by looking at one forward pass.

Of a convolutional network, the last and outermost layer of each size of maps; of a transformer, four of its blocks;
of a network without either, its hidden activations. Layers of two networks are paired from the end: the last with
the last. Maps with their channels last, as swin has them, are no maps here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from distill_cli.errors import ConfigError
from distill_cli.models.build import ImageShape
from distill_cli.models.example_pass import Passed, example_pass
from distill_cli.models.taps import INPUT, Whose, find_layer

BLOCKS = 4  # of a transformer: as many as most convolutional networks have sizes
ROWS, TOKENS, MAPS = 2, 3, 4  # dimensions of features, the batch included
ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.Mish,
)
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)


def default_pairs(
    student: nn.Module, teacher: nn.Module, image_shape: ImageShape
) -> tuple[tuple[str, str], ...]:
    """Paths of layers, (student, teacher), from the input on.

    Raises `ConfigError` where a network has none, or the two have nothing that can be compared.
    """
    own = found_layers(student, image_shape, "student")
    theirs = found_layers(teacher, image_shape, "teacher")
    if (own[-1].features.ndim == ROWS) != (theirs[-1].features.ndim == ROWS):
        raise ConfigError(
            f"this loss compares layers: the student has {_described(own[-1])}, the teacher "
            f"{_described(theirs[-1])}; take another student, or a loss that needs logits (loss=kd)"
        )
    count = min(len(own), len(theirs))
    return tuple((s.path, t.path) for s, t in zip(own[-count:], theirs[-count:], strict=True))


def found_layers(model: nn.Module, image_shape: ImageShape, whose: Whose = "student") -> list[Passed]:
    """All of one kind, from the input on. Raises `ConfigError` for a network without any."""
    passed = [layer for layer in example_pass(model, image_shape) if layer.stays]
    kinds = [layer.features.ndim for layer in passed if layer.features.ndim > ROWS]
    find = {TOKENS: _blocks, MAPS: _sizes}.get(kinds[-1] if kinds else ROWS, _activations)
    if layers := find(passed, image_shape):
        return layers
    raise ConfigError(
        f"this loss compares layers, and {type(model).__name__}, the {whose}, shows none that could be compared; "
        "set loss.layers, or use a loss that needs logits (loss=kd)"
    )


def preactivation(model: nn.Module, path: str, image_shape: ImageShape) -> str:
    """Where to tap what goes into the activation that a layer ends in; the layer itself if it ends in none.

    Raises `ConfigError` where that is a function and no module.
    """
    if path.endswith(INPUT):
        return path
    find_layer(model, path)
    passed = {layer.path: layer for layer in example_pass(model, image_shape)}
    whole = passed.get(path)
    within = [passed[name] for name in passed if name == path or name.startswith(f"{path}.")]
    for layer in reversed(within):
        if whole is not None and _is_activation(layer) and _is_same(layer, whole):
            return f"{layer.path}{INPUT}"
    if whole is not None and bool((whole.features < 0).any()):
        return path
    raise ConfigError(
        f"loss.layers: layer {path!r} of {type(model).__name__} ends in no ReLU of its own, whose input this loss "
        "needs; name one that does"
    )


def _sizes(passed: Sequence[Passed], image_shape: ImageShape) -> list[Passed]:
    """Maps: of each size the last one among the outermost, blocks before single operations."""
    if not _is_map([layer for layer in passed if layer.features.ndim == MAPS][-1], image_shape):
        return []
    maps = [layer for layer in passed if _is_map(layer, image_shape)]
    maps = [layer for layer in maps if layer.shape[1:] != (1, 1)] or maps
    trunks = _trunks(maps)
    layers = [layer for layer in maps if layer.path not in trunks and not isinstance(layer.module, POOLING)]
    layers = [layer for layer in layers if any(layer.module.children())] or layers
    by_size: dict[tuple[int, ...], list[Passed]] = {}
    for layer in layers:
        by_size.setdefault(layer.shape[1:], []).append(layer)
    last = {id(_last_outermost(layers, passed)) for layers in by_size.values()}
    return [layer for layer in passed if id(layer) in last]


def _is_map(layer: Passed, image_shape: ImageShape) -> bool:
    """As high for its width as the pictures are, up to rounding: others have their channels last."""
    if layer.features.ndim != MAPS:
        return False
    (height, width), (_, pictures_height, pictures_width) = layer.shape[1:], image_shape
    return abs(height * pictures_width - width * pictures_height) <= pictures_height + pictures_width


def _trunks(maps: Sequence[Passed]) -> set[str]:
    """Modules whose children hand on maps of several sizes: no layer, but a row of them."""
    sizes: dict[str, set[tuple[int, ...]]] = {}
    for layer in maps:
        sizes.setdefault(_parent(layer.path), set()).add(layer.shape[1:])
    return {parent for parent, several in sizes.items() if len(several) > 1}


def _last_outermost(layers: Iterable[Passed], passed: Sequence[Passed]) -> Passed:
    """Within the fewest modules that hand something on themselves, which an `nn.ModuleList` does not."""
    return min(reversed(list(layers)), key=lambda layer: sum(_is_within(layer, other) for other in passed))


def _is_within(layer: Passed, other: Passed) -> bool:
    return layer.path.startswith(f"{other.path}.")


def _blocks(passed: Sequence[Passed], image_shape: ImageShape) -> list[Passed]:
    """Tokens: of the outermost row of equal blocks, some at equal distances, with the last one."""
    rows: dict[tuple[str, type], list[Passed]] = {}
    for layer in passed:
        if layer.features.ndim == TOKENS and any(layer.module.children()):
            rows.setdefault((_parent(layer.path), type(layer.module)), []).append(layer)
    several = [row for row in rows.values() if len(row) > 1] or list(rows.values())
    if not several:
        return []
    row = min(several, key=lambda row: row[0].path.count("."))
    count = min(BLOCKS, len(row))
    return [row[len(row) * number // count - 1] for number in range(1, count + 1)]


def _activations(passed: Sequence[Passed], image_shape: ImageShape) -> list[Passed]:
    return [layer for layer in passed if _is_activation(layer)]


def _is_activation(layer: Passed) -> bool:
    return isinstance(layer.module, ACTIVATIONS)


def _is_same(layer: Passed, other: Passed) -> bool:
    return layer.features.data_ptr() == other.features.data_ptr() and layer.shape == other.shape


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _described(layer: Passed) -> str:
    kind = {ROWS: "units", TOKENS: "tokens", MAPS: "maps"}[layer.features.ndim]
    return f"{kind} (batch, {', '.join(map(str, layer.shape))})"
