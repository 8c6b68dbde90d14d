"""Which artefact was made from which, as their identities say.

An artefact keeps alive what it was made from. An evaluation is about others and keeps none of them. Weights that a
user has named are known by their bytes alone: whose file has the same is what they were taken from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distill_cli.cache.inventory import Entry, Inventory

KINDS = {
    "teacher": "teachers",
    "soft_labels": "soft_labels",
    "student": "students",
    "baseline": "students",
}  # by role


@dataclass(frozen=True)
class Reference:
    role: str  # teacher, soft_labels, student, baseline; init or checkpoint, of weights that were named
    kind: str
    key: str


def references_of(inventory: Inventory, entry: Entry) -> tuple[Reference, ...]:
    """The nearest first: what the artefact belongs to. Of several teachers each is named."""
    identity = entry.document.identity if entry.document else {}
    taught = identity.get("distillation")
    match entry.kind:
        case "soft_labels":
            found = [_named(identity, "teacher")]
        case "students" if isinstance(taught, Mapping):
            found = [_named(taught, role) for role in ("soft_labels", "teacher")]
        case "evaluations":
            found = [_named(identity, role) for role in ("student", "baseline", "teacher")]
        case _:
            found = []
    keys = (Reference(role, _kind(inventory, role, key), key) for keys in found for role, key in keys)
    return (*keys, *_weights(inventory, entry, identity))


def users_of(inventory: Inventory) -> dict[Entry, list[Entry]]:
    """For each artefact those that were made from it. Evaluations use nothing up: they are left out."""
    users: dict[Entry, list[Entry]] = {}
    for user in inventory.entries:
        for found in references_of(inventory, user) if user.kind != "evaluations" else ():
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


def _weights(inventory: Inventory, entry: Entry, identity: Mapping[str, Any]) -> Iterator[Reference]:
    """Whose weights a student began with, or a teacher has.

    A teacher that was brought in is a copy. Of two such, neither is what the other was made from.
    """
    init = identity.get("init")
    role = "checkpoint" if init is None else "init"
    digest = init.get("weights") if isinstance(init, Mapping) else identity.get(role)
    if not isinstance(digest, str):
        return
    same = [other for other in inventory.with_file(digest) if other is not entry]
    originals = [other for other in same if _imported(other) != digest]
    for other in originals or (same if role == "init" else []):
        if other.document:
            yield Reference(role, other.kind, other.document.key)


def _imported(entry: Entry) -> Any:
    """The digest of the checkpoint that a teacher was brought in from."""
    return entry.document.identity.get("checkpoint") if entry.document else None


def _named(identity: Mapping[str, Any], role: str) -> list[tuple[str, str]]:
    """The role with each key that stands there: none, one or a list of them."""
    found = identity.get(role)
    keys = found if isinstance(found, list) else [found]
    return [(role, key) for key in keys if isinstance(key, str) and key]


def _kind(inventory: Inventory, role: str, key: str) -> str:
    """A teacher may have been a student before."""
    if role == "teacher" and inventory.find("students", key):
        return "students"
    return KINDS[role]
