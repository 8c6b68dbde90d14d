"""What `distill cache` does, word by word. Results go to stdout, questions and progress to stderr.

Each raises a `DistillError` for what a user can act on. Nothing here imports torch, Hydra or, where only names and
sizes are wanted, NumPy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from distill_cli.cache import report
from distill_cli.cache.findings import Findings
from distill_cli.cache.garbage import Garbage, look_for_garbage
from distill_cli.cache.inventory import Entry, Inventory, take_stock
from distill_cli.cache.listing import document, table, total
from distill_cli.cache.names import find
from distill_cli.cache.options import parse
from distill_cli.cache.references import unknown_users, users_of
from distill_cli.cache.removal import remove_entry
from distill_cli.cache.verification import OnFile, files_to_check, remove_damaged
from distill_cli.cache.verification import verify as verify_entry
from distill_cli.errors import ArtifactError, ConfigError, ResourceError
from distill_cli.runtime.console import counted, say, show, track
from distill_cli.stages.summary import human_bytes

WORTH_A_BAR = 200_000_000  # bytes to read; less is read before a bar is drawn
SHOWN = 4  # names in one line


def run(chore: str, words: Sequence[str]) -> None:
    """`chore` is ls, verify, rm or gc, `words` what followed it on the command line."""
    given = parse(chore, words)
    match chore:
        case "ls":
            ls(given.artifacts, given.json)
        case "verify":
            verify(given.artifacts, given.names, given.remove_damaged)
        case "rm":
            rm(given.artifacts, given.names, given.force, given.yes)
        case "gc":
            gc(given.artifacts, given.older_than, given.yes)


def ls(root: Path, as_json: bool) -> None:
    inventory = take_stock(root)
    if as_json:
        _print([json.dumps(document(inventory), indent=2)])
    elif not inventory.entries:
        _print([f"there are no artefacts in {root}"])
    else:
        show(table(inventory))
        _print([total(inventory)])


def verify(root: Path, names: Sequence[str], removes_damaged: bool) -> None:
    """Raises `ArtifactError` where something is damaged, and was not removed."""
    inventory = _existing(root)
    entries = find(inventory, names) if names else inventory.entries
    checked = []
    with _progress(entries) as on_file:
        for entry in entries:
            findings = verify_entry(entry, on_file)
            if findings:
                checked.append(findings)
                _print(report.lines(findings))
            elif entry.is_work:
                _print([report.unfinished(entry)])
    _print([report.summary(checked)])
    damaged = [findings for findings in checked if findings.damage]
    if damaged and removes_damaged:
        _remove_damaged(root, damaged)
    elif damaged:
        raise ArtifactError(_complaint(damaged))
    if unreadable := [findings for findings in checked if findings.unreadable]:
        raise ResourceError(f"{_titles(one.entry for one in unreadable)}: not everything can be read")


def rm(root: Path, names: Sequence[str], force: bool, yes: bool) -> None:
    """Raises `ArtifactError` for what others were made from, or what is being built, and removes nothing then."""
    if not names:
        raise ConfigError("name what to remove; distill cache ls shows what there is")
    inventory = _existing(root)
    entries = find(inventory, names)
    for entry in entries:
        if entry.holder:
            raise ArtifactError(f"{entry.title} is being built now, by {entry.holder}")
    if not force:
        _refuse_what_is_needed(inventory, entries)
    _print(f"{entry.title}  {human_bytes(entry.bytes)}" for entry in entries)
    size = human_bytes(sum(entry.bytes for entry in entries))
    if not yes and not _is_confirmed(f"remove {counted(len(entries), 'artefact')}, {size}?", "--yes"):
        _print(["nothing was removed"])
        return
    for entry in reversed(entries):  # users before what they use
        remove_entry(root, entry)
    _print([f"removed {counted(len(entries), 'artefact')}, {size}"])


def gc(root: Path, days: float, yes: bool) -> None:
    sweep = look_for_garbage(take_stock(root), days)
    _print(f"keep  {kept.entry.title}  {human_bytes(kept.entry.bytes)}  {kept.reason}" for kept in sweep.kept)
    _print(f"remove  {one.title}  {human_bytes(one.bytes)}  {one.reason}" for one in sweep.garbage)
    if not sweep.garbage:
        _print(["there is nothing to remove"])
        return
    what = f"{counted(len(sweep.garbage), 'item')}, {human_bytes(sum(one.bytes for one in sweep.garbage))}"
    if not yes and not _is_on_terminal():
        _print([f"{what} would be removed; distill cache gc --yes does it"])
    elif yes or _is_confirmed(f"remove {what}?", "--yes"):
        _sweep(root, sweep.garbage, days)
    else:
        _print(["nothing was removed"])


def _existing(root: Path) -> Inventory:
    if not root.exists():
        raise ArtifactError(f"there is no directory {root}; --artifacts DIR says where artefacts lie")
    return take_stock(root)


@contextmanager
def _progress(entries: Iterable[Entry]) -> Iterator[OnFile]:
    entries = list(entries)
    if sum(entry.bytes for entry in entries) < WORTH_A_BAR:
        yield lambda: None
        return
    with track("verify", sum(files_to_check(entry) for entry in entries), "files") as tracker:
        yield tracker.advance


def _complaint(damaged: Sequence[Findings]) -> str:
    entries = [findings.entry for findings in damaged]
    files = sum(len(findings.damage) for findings in damaged)
    return (
        f"{counted(files, 'damaged file')} in {_titles(entries)}; distill cache verify --remove-damaged removes "
        f"what is damaged; then run the same {report.remedy(entries)} again"
    )


def _remove_damaged(root: Path, damaged: Sequence[Findings]) -> None:
    for findings in damaged:
        _print(f"removed: {name}" for name in remove_damaged(root, findings))
    _print([f"now run the same {report.remedy(one.entry for one in damaged)} again"])


def _refuse_what_is_needed(inventory: Inventory, entries: Sequence[Entry]) -> None:
    users = users_of(inventory)
    for entry in entries:
        needed_by = [user for user in users.get(entry, ()) if user not in entries]
        if needed_by:
            raise ArtifactError(
                f"{entry.title} is what {_titles(needed_by)} was made from; --force removes it"
            )
        trained = [
            user for user in unknown_users(inventory, entry.kind) if user.holder and user not in entries
        ]
        if entry.kind in ("teachers", "soft_labels") and trained:
            raise ArtifactError(
                f"{_titles(trained)} is being built now, by {trained[0].holder}, and may read {entry.title}; "
                "--force removes it"
            )


def _sweep(root: Path, confirmed: Sequence[Garbage], days: float) -> None:
    """Remove what was confirmed, as far as it is garbage still: a question may have stood there for an hour."""
    titles, removed = {one.title for one in confirmed}, []
    for one in look_for_garbage(take_stock(root), days).garbage:
        if one.title in titles:
            try:
                one.remove(root)
            except ArtifactError as error:
                say(f"kept: {error}")
            else:
                removed.append(one)
    size = human_bytes(sum(one.bytes for one in removed))
    _print([f"removed {counted(len(removed), 'item')}, {size}"])


def _is_confirmed(question: str, option: str) -> bool:
    """Raises `ConfigError` where there is nobody to ask."""
    if not _is_on_terminal():
        raise ConfigError(f"there is no terminal to ask on; {option} removes without a question")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _is_on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _titles(entries: Iterable[Entry]) -> str:
    titles = [entry.title for entry in entries]
    more = f" and {len(titles) - SHOWN} more" if len(titles) > SHOWN else ""
    return ", ".join(titles[:SHOWN]) + more


def _print(lines: Iterable[str]) -> None:
    from rich.text import Text

    text = "\n".join(lines)
    if text:
        show(Text(text, overflow="fold"))
