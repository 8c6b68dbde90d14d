"""Why soft labels are not there, in words: what differs from those that are.

A cache that was made under another seed, teacher or recipe lies beside the one that is looked for; naming the field
that differs tells a user more than "missing" does. Nothing here decides anything.
"""

from __future__ import annotations

from pathlib import Path

from distill_cli.artifacts.files import read_sealed_json
from distill_cli.artifacts.keys import differences
from distill_cli.errors import ArtifactError
from distill_cli.soft_labels.label_set import IDENTITY, LOGITS, Block, LabelSet
from distill_cli.soft_labels.shards import REMEDY, Shard, read_seal


def explain_absence(labels: LabelSet, missing: list[Block]) -> str:
    """`labels` has the blocks `missing`, and perhaps others."""
    total, identity = sum(1 for _ in labels.blocks()), labels.place.directory / IDENTITY
    if len(missing) == total and not identity.exists():
        return f"there are no soft labels {labels.place.name}{_nearest(labels)}"
    try:
        labels.check_identity()
    except ArtifactError as error:
        return str(error).partition("; remove")[0]
    why = first_problem(labels, missing) or f"the first: {_first_file(labels, missing[0])}"
    return f"{len(missing)} of {total} blocks of soft labels are not there ({why})"


def first_problem(labels: LabelSet, missing: list[Block]) -> str:
    """What is wrong with the first shard that lies there and cannot be used; empty if none does.

    The last block of a set that has grown was shorter: it is made again, and nothing is wrong with it.
    """
    for block in missing:
        for part in labels.parts:
            shard = block.shard(part)
            if shard.seal_path.exists() and not _has_grown(shard) and (problem := shard.problem()):
                return str(problem).removesuffix(f"; {REMEDY}")
    return ""


def _has_grown(shard: Shard) -> bool:
    try:
        seal = read_seal(shard.seal_path)
    except ArtifactError:
        return False
    return (seal.labels, seal.start) == (shard.labels, shard.start) and seal.stop < shard.stop


def _first_file(labels: LabelSet, block: Block) -> Path:
    """The seal that is missing; without it there are no rows, whatever lies beside it."""
    return block.shard(next(iter(labels.unsealed(block)), LOGITS)).seal_path


def _nearest(labels: LabelSet) -> str:
    """The set beside it that differs in the fewest fields, and in which."""
    found = []
    for directory in sorted(labels.place.directory.parent.glob("[!.]*")):
        lines = _differences(labels, directory)
        if lines:
            found.append((len(lines), directory.name, lines))
    if not found:
        return ""
    _, name, lines = min(found)
    more = f" and {len(lines) - 1} more" if lines[1:] else ""
    return f"; those of {name} differ in {lines[0]}{more}"


def _differences(labels: LabelSet, directory: Path) -> list[str]:
    try:
        theirs = read_sealed_json(directory / IDENTITY)["identity"]
    except (ArtifactError, OSError, KeyError):
        return []
    return differences(labels.place.identity, theirs)
