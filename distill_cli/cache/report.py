"""What verification says: a line for each file that is not as it was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from distill_cli.cache.documents import COMMANDS
from distill_cli.cache.extent import Slot
from distill_cli.cache.findings import Damage, Findings
from distill_cli.cache.inventory import Entry
from distill_cli.runtime.console import counted

IS_NOTICED = {True: "a rerun makes it again", False: "a rerun does not make it again by itself"}


def lines(findings: Findings) -> Iterator[str]:
    entry = findings.entry
    for damage in findings.damage:
        yield f"damaged: {_sentence(entry, damage)}; {IS_NOTICED[damage.is_noticed]}"
    for damage in findings.unreadable:
        yield f"unreadable: {_sentence(entry, damage)}"
    for folder, numbers in _blocks(findings.absent):
        yield f"not made: {entry.title}/{folder}, {numbers}; a rerun makes them"
    for name in entry.extra:
        yield f"unknown: {entry.title}/{name} belongs to no artefact"


def unfinished(entry: Entry) -> str:
    """Of a working directory."""
    does = f"{entry.holder} works on it" if entry.holder else "the same command goes on with it"
    return f"unfinished: {entry.title}; {does}"


def remedy(entries: Iterable[Entry]) -> str:
    """The commands that make the artefacts again."""
    kinds = {entry.kind for entry in entries}
    commands = [f"distill {command}" for kind, command in COMMANDS.items() if kind in kinds]
    return " and ".join(commands)


def summary(checked: Sequence[Findings]) -> str:
    files = sum(one.checked for one in checked)
    return f"{counted(len(checked), 'artefact')} read, {counted(files, 'file')} as written"


def _sentence(entry: Entry, damage: Damage) -> str:
    return f"{entry.title}/{damage.name} {damage.problem}"


def _blocks(slots: Iterable[Slot]) -> Iterator[tuple[str, str]]:
    """By folder and part: `train/view-000`, `block-00000.npy to block-00003.npy`."""
    ordered = sorted(slots, key=lambda slot: (slot.folder, slot.part, slot.number))
    for (folder, _), group in groupby(ordered, key=lambda slot: (slot.folder, slot.part)):
        yield folder, ", ".join(_runs(list(group)))


def _runs(slots: list[Slot]) -> Iterator[str]:
    """Consecutive blocks as one."""
    numbered = groupby(enumerate(slots), key=lambda pair: pair[1].number - pair[0])
    for _, run in numbered:
        first, *rest = [slot for _, slot in run]
        yield f"{first.file} to {rest[-1].file}" if rest else first.file
