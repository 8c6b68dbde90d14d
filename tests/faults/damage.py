"""Ways in which a file goes bad: bits flip, it is cut, it is lost, it turns to zeros, or is another one's."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Damage:
    """Something done to a file below artifacts/."""

    name: str
    what: str
    change: Change = field(repr=False)
    more: tuple[str, ...] = ()  # other files that it changes

    @property
    def files(self) -> tuple[str, ...]:
        return (self.name, *self.more)

    def do(self, directory: Path) -> dict[str, bytes]:
        """What the files hold afterwards, of those that are still there."""
        root = directory / "artifacts"
        self.change(root / self.name)
        return {name: (root / name).read_bytes() for name in self.files if (root / name).exists()}


def flipped_bits(files: dict[str, bytes], places: int, seed: int = 0) -> Iterator[Damage]:
    """In each file: in its first bytes, in its last ones, and in between."""
    chance = random.Random(seed)
    for name, content in files.items():
        last = len(content) - 1
        edges = [0, last, min(8, last), min(100, last), len(content) // 2]
        chosen = [
            *chance.sample(edges, min(places, len(edges))),
            *chance.choices(range(len(content)), k=places),
        ]
        for position in chosen[:places]:
            bit = chance.randrange(8)
            yield Damage(name, f"bit {bit} of byte {position}", flip(position, bit))


def cuts(files: dict[str, bytes], sixteenths: range) -> Iterator[Damage]:
    for name, content in files.items():
        for part in sixteenths:
            length = len(content) * part // 16
            yield Damage(name, f"cut to {length} of {len(content)}", cut(length))


def flip(position: int, bit: int) -> Change:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[position] ^= 1 << bit
        path.write_bytes(content)

    return change


def cut(length: int) -> Change:
    return lambda path: replace(path, path.read_bytes()[:length])


def zeros(path: Path) -> None:
    replace(path, bytes(path.stat().st_size))


def numbers_zeroed(path: Path) -> None:
    """The header of the .npy stays."""
    content = path.read_bytes()
    start = content.index(b"\n") + 1
    replace(path, content[:start] + bytes(len(content) - start))


def removed(path: Path) -> None:
    path.unlink()


def replaced_by(content: bytes) -> Change:
    return lambda path: replace(path, content)


def swapped(ours: str, theirs: str, suffixes: tuple[str, ...]) -> Damage:
    """Two shards: their rows, their seals, or both."""
    pairs = [tuple(str(Path(name).with_suffix(suffix)) for name in (ours, theirs)) for suffix in suffixes]

    def change(path: Path) -> None:
        root = Path(str(path).removesuffix(pairs[0][0]))
        for one, two in pairs:
            content = (root / one).read_bytes()
            replace(root / one, (root / two).read_bytes())
            replace(root / two, content)

    names = [name for pair in pairs for name in pair]
    return Damage(names[0], f"swapped with {names[1]}", change, tuple(names[1:]))


def replace(path: Path, content: bytes) -> None:
    path.write_bytes(content)
