"""Which artefact was made from which, as their identities say.

An artefact keeps alive what it was made from. An evaluation is about others and keeps none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distill_cli.cache.inventory import Entry, Inventory


@dataclass(frozen=True)
class Reference:
    role: str  # teacher, soft_labels, student, baseline
    kind: str
    key: str


def references_of(entry: Entry) -> tuple[Reference, ...]:
    """The nearest first: what the artefact belongs to."""
    identity = entry.document.identity if entry.document else {}
    match entry.kind:
        case "soft_labels":
            found = _named(identity, ("teacher", "teachers"))
        case "students":
            taught = identity.get("distillation")
            taught = taught if isinstance(taught, Mapping) else {}
            found = _named(taught, ("soft_labels", "soft_labels"), ("teacher", "teachers"))
        case "evaluations":
            found = _named(
                identity, ("student", "students"), ("baseline", "students"), ("teacher", "teachers")
            )
        case _:
            found = ()
    return found


def users_of(inventory: Inventory) -> dict[Entry, list[Entry]]:
    """For each artefact those that were made from it. Evaluations use nothing up: they are left out."""
    users: dict[Entry, list[Entry]] = {}
    for user in inventory.entries:
        for found in references_of(user) if user.kind != "evaluations" else ():
            used = inventory.find(found.kind, found.key)
            if used is not None:
                users.setdefault(used, []).append(user)
    return users


def unknown_users(inventory: Inventory, kind: str) -> Iterator[Entry]:
    """Those that may need one of this kind without saying so: unfinished, or not to be read."""
    for entry in inventory.entries:
        reads = entry.kind == "students" or (entry.kind, kind) == ("soft_labels", "teachers")
        if reads and entry.document is None:
            yield entry


def _named(identity: Mapping[str, Any], *roles: tuple[str, str]) -> tuple[Reference, ...]:
    keys = ((role, kind, identity.get(role)) for role, kind in roles)
    return tuple(Reference(role, kind, key) for role, kind, key in keys if isinstance(key, str) and key)
