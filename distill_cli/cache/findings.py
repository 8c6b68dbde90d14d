"""What verification finds out about one artefact."""

from __future__ import annotations

from dataclasses import dataclass, field

from distill_cli.cache.extent import Slot
from distill_cli.cache.inventory import Entry


@dataclass(frozen=True)
class Damage:
    """One file that is not what it should be."""

    name: str  # below the artefact's directory
    problem: str  # follows the name in a sentence
    is_noticed: bool  # whether a rerun sees it and makes it again by itself
    remove: tuple[str, ...] = ()  # the files that have to go; empty: the whole directory


@dataclass
class Findings:
    entry: Entry
    checked: int = 0  # files whose bytes are what was written
    damage: list[Damage] = field(default_factory=list)
    unreadable: list[Damage] = field(default_factory=list)  # a right is missing, or the disk fails
    absent: list[Slot] = field(default_factory=list)  # shards that are still to be made: no damage
