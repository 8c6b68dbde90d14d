"""Classes as a user types them: by their names, or by their numbers where no class has such a name."""

from __future__ import annotations

from collections.abc import Sequence

from distill_cli.config.nearest import nearest
from distill_cli.errors import ConfigError

MOST_NAMES = 12  # in a message


def class_number(word: object, classes: Sequence[str], option: str) -> int:
    """Which of `classes` is meant. Raises `ConfigError`, which begins with what was typed for `option`."""
    numbers = {str(number): number for number, _ in enumerate(classes)}
    known = {**numbers, **{name: number for number, name in enumerate(classes)}}
    is_word = isinstance(word, str) or type(word) is int
    if is_word and str(word) in known:
        return known[str(word)]
    near = nearest(str(word), classes)
    raise ConfigError(
        f"{option}: there is no class {word!r}{f'; did you mean {near!r}?' if near else '.'} {_all(classes)}"
    )


def listed(names: Sequence[str]) -> str:
    """`dog, cat, … (100 in all)`."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])}, … ({len(names):,} in all)"


def _all(classes: Sequence[str]) -> str:
    return f"There are {listed(classes)}"
