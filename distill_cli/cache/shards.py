"""Soft labels, shard by shard: which are whole, which a rerun makes again by itself, and which it would trust.

`gen-soft-labels` makes the shards whose seal is missing, damaged or of something else, or whose size is not what
the seal says. Bytes that differ under a good seal it only meets when it reads them.
"""

from __future__ import annotations

from pathlib import Path

from distill_cli.cache.documents import in_short
from distill_cli.cache.extent import Slot
from distill_cli.cache.findings import Damage, Findings
from distill_cli.data.views.clean import CLEAN
from distill_cli.errors import ArtifactError
from distill_cli.soft_labels.shards import Seal, audit, read_seal


def verify_shard(findings: Findings, slot: Slot) -> None:
    """Read all of a shard. A shard without a seal does not exist, whatever lies there. Raises `OSError`."""
    entry = findings.entry
    path, seal_path = entry.directory / slot.name, entry.directory / slot.seal
    if not seal_path.exists():
        findings.absent.append(slot)
        return
    try:
        seal = read_seal(seal_path)
    except ArtifactError as error:
        findings.damage.append(_damage(slot, slot.seal, in_short(error, seal_path)))
        return
    assert entry.document is not None
    if _is_outgrown(seal, slot):
        findings.absent.append(slot)
    elif problem := _foreign(seal, slot, entry.document.key) or _wrong_size(seal, path):
        findings.damage.append(_damage(slot, slot.name, problem))
    elif problem := _wrong_shape(seal, slot) or _wrong_bytes(path, seal_path):
        findings.damage.append(_damage(slot, slot.name, problem, is_noticed=False))
    else:
        findings.checked += 2


def _damage(slot: Slot, name: str, problem: str, is_noticed: bool = True) -> Damage:
    return Damage(name, problem, is_noticed, remove=(slot.seal, slot.name))


def _is_outgrown(seal: Seal, slot: Slot) -> bool:
    """Whether it is the last block of fewer, or more, samples than the set is to have now."""
    return _place(seal)[:-1] == _place(slot)[:-1] and seal.stop != slot.stop


def _foreign(seal: Seal, slot: Slot, key: str) -> str:
    """How a seal does not belong where it lies; empty where it does."""
    if seal.labels != key:
        return "belongs to other soft labels"
    if _place(seal) != _place(slot):
        return f"is another shard's: {_in_words(seal)}, not {_in_words(slot)}"
    return ""


def _place(of: Seal | Slot) -> tuple[str, str, int, int, int]:
    return of.split, of.part, of.view, of.start, of.stop


def _in_words(of: Seal | Slot) -> str:
    view = "clean" if of.view == CLEAN else f"in view {of.view}"
    return f"{of.part} of {of.split} samples {of.start} to {of.stop}, {view}"


def _wrong_size(seal: Seal, path: Path) -> str:
    if not path.is_file():
        return "is missing, its seal is there"
    size = path.stat().st_size
    return f"has {size} bytes, its seal says {seal.bytes}" if size != seal.bytes else ""


def _wrong_shape(seal: Seal, slot: Slot) -> str:
    rows = slot.stop - slot.start
    if isinstance(seal.shape, list) and seal.shape[:1] == [rows]:
        return ""
    return f"has a seal for an array of {seal.shape}, not of {rows} rows"


def _wrong_bytes(path: Path, seal_path: Path) -> str:
    try:
        audit(seal_path)
    except ArtifactError as error:
        return in_short(error, path)
    return ""
