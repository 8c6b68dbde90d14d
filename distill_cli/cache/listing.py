"""The artefacts as a table for people, and as JSON for scripts. Sizes only: nothing here reads a large file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from distill_cli.cache.ages import age_in_words, age_of
from distill_cli.cache.documents import DIGITS, KINDS
from distill_cli.cache.inventory import Entry, Inventory
from distill_cli.cache.references import Reference, references_of
from distill_cli.runtime.console import counted
from distill_cli.stages.summary import human_bytes

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
COLUMNS = ("name", "size", "age", "made from", "state")


def table(inventory: Inventory) -> Table:
    """Names are whole, also on a narrow terminal: there they go on in the next line."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in COLUMNS:
        table.add_column(Text(name), overflow="fold", justify="right" if name in ("size", "age") else "left")
    for kind in KINDS:
        entries = [entry for entry in inventory.entries if entry.kind == kind]
        if entries:
            table.add_row(Text(kind.replace("_", " "), style="bold"))
        for entry in entries:
            table.add_row(*map(Text, _cells(inventory, entry)))
    return table


def total(inventory: Inventory) -> str:
    """`6 artefacts, 1.2 MB`, and what gc would sweep."""
    entries, leftovers = inventory.entries, inventory.leftovers
    words = f"{counted(len(entries), 'artefact')}, {human_bytes(sum(entry.bytes for entry in entries))}"
    stale = len(leftovers) + sum(len(entry.temporary) for entry in entries)
    more = f"; {counted(stale, 'leftover')} of killed processes, see distill cache gc" if stale else ""
    return f"{words} in {inventory.root}{more}"


def state_in_words(entry: Entry) -> str:
    if entry.state == "incomplete" and entry.expected:
        return f"incomplete ({entry.present:,} of {entry.expected:,} files)"
    return entry.state


def document(inventory: Inventory) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "root": str(inventory.root.absolute()),
        "bytes": sum(entry.bytes for entry in inventory.entries),
        "artefacts": [_facts(inventory, entry) for entry in inventory.entries],
        "leftovers": [str(leftover.path.absolute()) for leftover in inventory.leftovers],
    }


def _cells(inventory: Inventory, entry: Entry) -> tuple[str, ...]:
    size, age = human_bytes(entry.bytes), age_in_words(age_of(entry.modified))
    return entry.name, size, age, _made_from(inventory, entry), state_in_words(entry)


def _made_from(inventory: Inventory, entry: Entry) -> str:
    """The first digits of the nearest one's key, with which its name ends; of each, where they are several."""
    found = references_of(inventory, entry)
    nearest = [one for one in found if one.role == found[0].role]
    return ", ".join(map(partial(_digits, inventory), nearest)) or "–"


def _digits(inventory: Inventory, found: Reference) -> str:
    is_there = inventory.find(found.kind, found.key)
    return found.key[:DIGITS] + ("" if is_there else " (gone)")


def _facts(inventory: Inventory, entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "path": str(entry.directory.absolute()),
        "key": entry.document.key if entry.document else None,
        "bytes": entry.bytes,
        "files": len(entry.files),
        "modified": entry.modified,
        "age_seconds": age_of(entry.modified),
        "state": entry.state,
        "shards": [entry.present, entry.expected] if entry.expected else None,
        "problem": entry.problem or next((f"{k} {v}" for k, v in entry.wrong_sizes.items()), None),
        "holder": entry.holder or None,
        "made_from": [_link(inventory, found) for found in references_of(inventory, entry)],
    }


def _link(inventory: Inventory, found: Reference) -> dict[str, Any]:
    there = inventory.find(found.kind, found.key)
    return {"role": found.role, "kind": found.kind, "key": found.key, "name": there.name if there else None}
