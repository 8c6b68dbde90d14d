"""What makes features of a student comparable with those of a teacher: their kind, their size, their channels.

One decision to know: losses see maps, (batch, channels, height, width), and nothing else. A row of units is a map
of one pixel, (batch, width, 1, 1), and tokens are a column, (batch, width, tokens, 1), so that a 1x1 convolution is
their linear layer. Tokens that stand against a map, or against another number of tokens, fold into the square that
they were cut from, without the class tokens in front.

A map shrinks by averaging, as in the published codes, and grows by interpolation.
"""

from __future__ import annotations

from math import isqrt

from torch import Tensor, nn
from torch.nn import functional as F

from distill_cli.errors import ConfigError
from distill_cli.losses.outputs import Outputs, at_least_float32

MapPair = tuple[Tensor, Tensor]  # of the student and of the teacher
Size = tuple[int, int]  # (height, width)
IN_FRONT = 5  # tokens at most that are no part of the picture: a class, its distillation, registers


def map_pairs(student: Outputs, teacher: Outputs) -> list[MapPair]:
    """The features of each pair of layers as maps, in float32 at least. Sizes and channels may differ.

    Raises `ConfigError` for kinds that cannot be compared.
    """
    pairs = zip(student.features, teacher.features, strict=True)
    return [as_maps(*pair, number) for number, pair in enumerate(pairs, start=1)]


def as_maps(student: Tensor, teacher: Tensor, number: int = 1) -> MapPair:
    """The same for one pair, the `number`-th."""
    fold = not student.ndim == teacher.ndim == 3 or student.shape[1] != teacher.shape[1]
    maps = _map(student, fold), _map(teacher, fold)
    has_row = 2 in (student.ndim, teacher.ndim)
    if maps[0] is None or maps[1] is None or (has_row and size_of(maps[0]) != size_of(maps[1])):
        raise ConfigError(
            f"loss.layers: in pair {number} the student has {described(student)}, the teacher "
            f"{described(teacher)}: nothing to compare; name layers of one kind, take another student, "
            "or a loss that needs logits (loss=kd)"
        )
    return maps[0], maps[1]


def maps_of_one_size(student: Outputs, teacher: Outputs, loss: str) -> list[MapPair]:
    """The same, each pair of the smaller one's size, for losses that compare positions within a map.

    Raises `ConfigError` where there is but one position.
    """
    pairs = [same_size(*pair) for pair in map_pairs(student, teacher)]
    for number, (maps, _) in enumerate(pairs):
        if size_of(maps) == (1, 1):
            raise ConfigError(
                f"loss={loss} compares positions in maps, and in pair {number + 1} of loss.layers there is one "
                f"(student: {described(student.features[number])}, teacher: "
                f"{described(teacher.features[number])}); name other layers, or use loss=fitnets"
            )
    return pairs


def same_size(student: Tensor, teacher: Tensor) -> MapPair:
    """Two maps of the smaller one's size."""
    (height, width), (other_height, other_width) = size_of(student), size_of(teacher)
    size = min(height, other_height), min(width, other_width)
    return resized(student, size), resized(teacher, size)


def resized(features: Tensor, size: Size) -> Tensor:
    """A map of another size."""
    (height, width), (new_height, new_width) = size_of(features), size
    shrunk = min(height, new_height), min(width, new_width)
    if shrunk != (height, width):
        features = F.adaptive_avg_pool2d(features, shrunk)
    return features if shrunk == size else F.interpolate(features, size, mode="bilinear")


class Connector(nn.Module):
    """Gives the student's maps the teacher's channels: a 1x1 convolution, with a bias or with batch norm.

    With `identity`, equal channels stay as they are. No activation follows: what is matched may be negative.
    """

    def __init__(
        self, channels: int, teacher_channels: int, *, batch_norm: bool = False, identity: bool = False
    ) -> None:
        super().__init__()
        self.convolution: nn.Module = nn.Identity()
        self.norm: nn.Module = nn.Identity()
        if identity and channels == teacher_channels:
            return
        self.convolution = nn.Conv2d(channels, teacher_channels, 1, bias=not batch_norm)
        if batch_norm:
            self.norm = nn.BatchNorm2d(teacher_channels)

    def forward(self, student: Tensor) -> Tensor:
        features: Tensor = self.convolution(student)  # (batch, teacher's channels, height, width)
        if self.training and features.numel() == features.shape[1]:
            return features  # a single value has no variance
        return self.norm(features)  # type: ignore[no-any-return]


def connectors_of(pairs: list[MapPair], *, batch_norm: bool = False, identity: bool = False) -> nn.ModuleList:
    """A `Connector` for each pair of maps."""
    return nn.ModuleList(
        Connector(student.shape[1], teacher.shape[1], batch_norm=batch_norm, identity=identity)
        for student, teacher in pairs
    )


def size_of(features: Tensor) -> Size:
    """Of a map."""
    return features.shape[-2], features.shape[-1]


def described(features: Tensor) -> str:
    """The shape in the words of a message."""
    what = {2: "units", 3: "tokens"}.get(features.ndim, "maps")
    return f"{what} (batch, {', '.join(map(str, features.shape[1:]))})"


def _map(features: Tensor, fold: bool) -> Tensor | None:
    """None for tokens that are no square."""
    features = at_least_float32(features)
    if features.ndim == 2:
        return features[:, :, None, None]
    if features.ndim == 3:
        return _square(features) if fold else features.mT[..., None]
    return features


def _square(tokens: Tensor) -> Tensor | None:
    """(batch, tokens, width) as (batch, width, side, side)."""
    count = tokens.shape[1]
    side = isqrt(count)
    if count - side**2 > IN_FRONT:
        return None
    return tokens[:, count - side**2 :].mT.reshape(len(tokens), -1, side, side)
