"""What a user may call an artefact, and which one is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from distill_cli.cache.inventory import Entry, Inventory, take_stock
from distill_cli.cache.options import default_root
from distill_cli.config.nearest import nearest
from distill_cli.errors import ArtifactError, ConfigError

LEAST_DIGITS = 4  # of a key
SHOWN = 4  # candidates


def find(inventory: Inventory, names: Sequence[str]) -> list[Entry]:
    """The entries that are meant, in the order of the inventory.

    A name is `NAME`, `kind/NAME`, a path, a quoted pattern of these, or the beginning of one artefact's name or
    key. Raises `ArtifactError` for an unknown one and `ConfigError` for one that fits several.
    """
    wanted = [entry for name in names for entry in _find(inventory, name)]
    return [entry for entry in inventory.entries if entry in wanted]


def complete(incomplete: str) -> list[str]:
    """What <TAB> offers: names in the directory where artefacts lie unless one says otherwise."""
    names = [own for entry in take_stock(default_root()).entries for own in _names(entry)]
    return sorted({own for own in names if own.startswith(incomplete)})


def _find(inventory: Inventory, name: str) -> list[Entry]:
    if any(letter in name for letter in "*?["):
        found = [entry for entry in inventory.entries if any(fnmatchcase(own, name) for own in _names(entry))]
        if found:
            return found
    word = name.rstrip("/")
    ways: tuple[Callable[[Entry], bool], ...] = (
        lambda entry: word in (*_names(entry), entry.title, entry.directory.name),
        lambda entry: _is_same_path(Path(name), entry.directory),
        lambda entry: _begins(entry, word),
    )
    for fits in ways:
        found = [entry for entry in inventory.entries if word and fits(entry)]
        if found:
            return _only(found, name)
    raise ArtifactError(_unknown(inventory, word))


def _names(entry: Entry) -> tuple[str, str]:
    return entry.name, f"{entry.kind}/{entry.name}"


def _begins(entry: Entry, word: str) -> bool:
    key = entry.document.key if entry.document else entry.digits
    is_key = len(word) >= LEAST_DIGITS and key.startswith(word)
    return is_key or any(own.startswith(word) for own in _names(entry))


def _is_same_path(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve()
    except (OSError, ValueError, RuntimeError):
        return False


def _only(found: list[Entry], name: str) -> list[Entry]:
    """All entries of one artefact: the finished one and its working directory."""
    titles = sorted({_names(entry)[1] for entry in found})
    if len(titles) > 1:
        more = f" and {len(titles) - SHOWN} more" if len(titles) > SHOWN else ""
        raise ConfigError(
            f"{name!r} may be {', '.join(titles[:SHOWN])}{more}; say which, or quote {name + '*'!r}"
        )
    return found


def _unknown(inventory: Inventory, word: str) -> str:
    names = [own for entry in inventory.entries for own in _names(entry)]
    near = nearest(word, names)
    if near is None and not names:
        return f"there is no artefact {word!r}; {inventory.root} has none at all"
    remedy = f"did you mean {near!r}?" if near else "distill cache ls shows them"
    return f"there is no artefact {word!r} in {inventory.root}; {remedy}"
