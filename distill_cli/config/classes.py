"""Classes as a user types them: by their names, or by their numbers where no class has such a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    meant = [] if is_word else [name for name in classes if _reads_as(name, word)]
    if meant:
        raise ConfigError(f"{option}: {_as_typed(word)} is no word here; {_remedy(meant[0], known, option)}")
    near = nearest(str(word), classes)
    raise ConfigError(
        f"{option}: there is no class {word!r}{f'; did you mean {near!r}?' if near else '.'} {_all(classes)}"
    )


def listed(names: Sequence[str]) -> str:
    """`dog, cat, … (100 in all)`."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])}, … ({len(names):,} in all)"


def _reads_as(name: str, word: object) -> bool:
    """Whether this name, where nothing quotes it, is read as `true`, `null` or a fraction."""
    if isinstance(word, float):
        try:
            return repr(float(name)) == repr(word)  # nan is no number that equals itself
        except ValueError:
            return False
    return name.lower() == _as_typed(word)


def _as_typed(word: object) -> str:
    return "null" if word is None else str(word).lower()


def _remedy(name: str, known: Mapping[str, int], option: str) -> str:
    """A key of a mapping cannot be quoted on the command line."""
    key, _, value = option.partition("=")
    quoted = f"in quotes it is the class: \"{key}=['{name}']\""
    return quoted if value else f"type the number of class {name!r}, {known[name]}"


def _all(classes: Sequence[str]) -> str:
    return f"There are {listed(classes)}"
