"""Reading every byte, and comparing it with what was written.

For somebody who has the artefacts and nothing else: no config, no data set, no teacher. Whether soft labels
belong to the pictures at hand only a run can say, and does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from distill_cli.artifacts.files import sha256_of
from distill_cli.cache.documents import Recorded, name_of_document
from distill_cli.cache.findings import Damage, Findings
from distill_cli.cache.inventory import Entry, take_stock
from distill_cli.cache.locks import all_held
from distill_cli.cache.removal import remove_directory

OnFile = Callable[[], None]


def files_to_check(entry: Entry) -> int:
    """How often `verify` will call `on_file`."""
    if entry.is_work or entry.document is None:
        return 0
    return len(entry.document.files) + len(entry.document.slots)


def verify(entry: Entry, on_file: OnFile = lambda: None) -> Findings | None:
    """None for a working directory, in which nothing is promised yet, and for what has gone meanwhile."""
    if entry.is_work:
        return None
    findings = Findings(entry)
    if entry.document is None:
        is_absent = entry.problem == "is missing"
        name = name_of_document(entry.kind)
        is_remade = entry.kind == "soft_labels"  # labels.json follows from the config
        remove = (name,) if is_remade else ()
        damage = Damage(name, entry.problem, is_noticed=is_absent or is_remade, remove=remove)
        (findings.damage if entry.is_readable else findings.unreadable).append(damage)
    else:
        findings.checked += 1
        for name, recorded in entry.document.files.items():
            _look(findings, name, partial(_verify_file, findings, name, recorded), on_file)
        _verify_shards(findings, on_file)
    return findings if entry.directory.exists() else None


def remove_damaged(root: Path, findings: Findings) -> list[str]:
    """Remove what is still damaged once nobody else can build it; the names of what has gone.

    Raises `ArtifactError` if the artefact is being built.
    """
    entry = findings.entry
    with all_held(root, entry.kind, entry.digits, entry.title):
        current = _look_again(root, entry)
        damage = [one for one in current.damage if one in findings.damage] if current else []
        if any(not one.remove for one in damage):
            remove_directory(entry.directory)
            return [entry.title]
        names = [name for one in damage for name in one.remove]  # a seal before its rows
        for name in names:
            (entry.directory / name).unlink(missing_ok=True)
    return [f"{entry.title}/{one.name}" for one in damage]


def _look_again(root: Path, entry: Entry) -> Findings | None:
    found = [other for other in take_stock(root).entries if other.directory == entry.directory]
    return verify(found[0]) if found else None


def _verify_file(findings: Findings, name: str, recorded: Recorded) -> None:
    entry = findings.entry
    problem = entry.wrong_sizes.get(name)
    if problem is None and sha256_of(entry.directory / name) != recorded.sha256:
        problem = "is corrupt: its sha256 differs"
    if problem:
        findings.damage.append(Damage(name, problem, is_noticed=False))
    else:
        findings.checked += 1


def _verify_shards(findings: Findings, on_file: OnFile) -> None:
    assert findings.entry.document is not None
    if not findings.entry.document.slots:
        return
    from distill_cli.cache.shards import verify_shard  # NumPy, which takes its time

    for slot in findings.entry.document.slots:
        _look(findings, slot.name, partial(verify_shard, findings, slot), on_file)


def _look(findings: Findings, name: str, check: Callable[[], None], on_file: OnFile) -> None:
    """One file that cannot be read does not keep the others from being read."""
    try:
        check()
    except FileNotFoundError:
        findings.damage.append(Damage(name, "is missing", is_noticed=False))
    except OSError as error:
        reason = error.strerror or str(error)
        findings.unreadable.append(Damage(name, f"cannot be read: {reason}", is_noticed=False))
    on_file()
