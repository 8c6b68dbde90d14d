"""What gc would remove, and why; and what it keeps although nothing refers to it.

Only ages are times here, and an error in one costs a rerun at worst. In doubt a thing is kept: while there is a
student that is unfinished, or cannot be read, nobody knows which teacher and which soft labels it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distill_cli.cache.ages import age_in_words, age_of
from distill_cli.cache.inventory import Entry, Inventory, Leftover
from distill_cli.cache.locks import holder
from distill_cli.cache.references import references_of, unknown_users, users_of
from distill_cli.cache.removal import remove_entry, remove_leftover, remove_temporary

HOUR, DAY = 3600.0, 86400.0
LEFT_ALONE = HOUR  # for how long nobody has touched what a killed process has left


@dataclass(frozen=True)
class Garbage:
    """Something that nobody needs."""

    what: Entry | Leftover
    reason: str
    only_temporary: bool = False  # of an artefact that stays

    @property
    def title(self) -> str:
        return f"{self.what.title}/.*.tmp" if self.only_temporary else self.what.title

    @property
    def bytes(self) -> int:
        files = self.what.files
        if isinstance(self.what, Entry) and self.only_temporary:
            return sum(files[name].st_size for name in self.what.temporary)
        return sum(status.st_size for status in files.values())

    def remove(self, root: Path) -> None:
        """Raises `ArtifactError` if somebody works on it now."""
        if isinstance(self.what, Leftover):
            remove_leftover(root, self.what)
        elif self.only_temporary:
            remove_temporary(root, self.what)
        else:
            remove_entry(root, self.what)


@dataclass(frozen=True)
class Kept:
    """An artefact that no other refers to, and why it stays all the same."""

    entry: Entry
    reason: str


@dataclass(frozen=True)
class Sweep:
    garbage: tuple[Garbage, ...]
    kept: tuple[Kept, ...]


def look_for_garbage(inventory: Inventory, days: float) -> Sweep:
    """`days` is the age up to which unfinished and unused things are kept."""
    search = _Search(inventory, days)
    for leftover in inventory.leftovers:
        search.judge_leftover(leftover)
    for entry in reversed(inventory.entries):  # users before what they use
        search.judge(entry)
    return Sweep(tuple(search.garbage), tuple(search.kept))


class _Search:
    def __init__(self, inventory: Inventory, days: float) -> None:
        self.inventory, self.limit = inventory, days * DAY
        self.users = users_of(inventory)
        self.leaving: set[Entry | Leftover] = set()
        self.garbage: list[Garbage] = []
        self.kept: list[Kept] = []

    def judge_leftover(self, leftover: Leftover) -> None:
        is_old = age_of(leftover.modified) > LEFT_ALONE
        if is_old and not holder(self.inventory.root, leftover.kind, leftover.digits):
            self.garbage.append(Garbage(leftover, "left behind by a killed process"))

    def judge(self, entry: Entry) -> None:
        reason = self._is_unneeded(entry)
        doubt = self._doubt(entry) if reason else ""
        if reason and not doubt:
            self.garbage.append(Garbage(entry, reason))
            self.leaving.add(entry)
            return
        if reason:
            self.kept.append(Kept(entry, f"{reason}; {doubt}"))
        if entry.temporary and not entry.holder and self._are_old(entry):
            self.garbage.append(Garbage(entry, "left behind by a killed process", only_temporary=True))

    def _is_unneeded(self, entry: Entry) -> str:
        """Why nobody may need it; empty for what is needed."""
        if entry.is_work:
            return "unfinished"
        if entry.kind == "students" or set(self.users.get(entry, ())) - self.leaving:
            return ""
        if entry.kind == "evaluations":
            return "" if self._has_student(entry) else "its student is gone"
        return "incomplete" if entry.state == "incomplete" else "no student refers to it"

    def _doubt(self, entry: Entry) -> str:
        """Why it stays all the same; empty where there is no reason."""
        age = age_of(entry.modified)
        if entry.holder:
            return f"{entry.holder} works on it"
        if entry.document is None and not entry.is_work:
            return "damaged, see distill cache verify"
        if entry.kind == "evaluations" and not entry.is_work:
            return ""
        if age <= self.limit:
            return f"only {age_in_words(age)} old"
        unknown = [] if entry.is_work else [*unknown_users(self.inventory, entry.kind)]
        needed_by = [other for other in unknown if other not in self.leaving]
        return f"{needed_by[0].title} may need it" if needed_by else ""

    def _has_student(self, entry: Entry) -> bool:
        students = [found for found in references_of(self.inventory, entry) if found.role == "student"]
        return not students or any(self.inventory.find(found.kind, found.key) for found in students)

    def _are_old(self, entry: Entry) -> bool:
        """Its temporary files, all of them."""
        return all(age_of(entry.files[name].st_mtime) > LEFT_ALONE for name in entry.temporary)
