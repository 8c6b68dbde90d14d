"""Whether weights are for the classes at hand, as the artefact says in which they lie. No torch.

A bare safetensors file says nothing of names: whether it has as many classes is seen when it is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distill_cli.artifacts.store import MANIFEST, WEIGHTS, read_manifest
from distill_cli.errors import ArtifactError

SHOWN = 5  # names in a message


def refuse_other_classes(weights: Path, classes: Sequence[str], key: str) -> None:
    """`key` is what was typed for the file. Raises `ArtifactError` where names or their order differ."""
    if weights.name != WEIGHTS or not (weights.parent / MANIFEST).is_file():
        return
    theirs = read_manifest(weights.parent).get("data", {}).get("classes", classes)
    if list(theirs) == list(classes):
        return
    if sorted(theirs) == sorted(classes):
        number = next(n for n, (one, other) in enumerate(zip(theirs, classes, strict=True)) if one != other)
        what = (
            f"the same classes in another order: class {number} is {theirs[number]}, here {classes[number]}"
        )
    else:
        what = f"other classes, {_few(theirs)}; those here are {_few(classes)}"
    raise ArtifactError(f"{key}={weights} has {what}; name a teacher of these classes")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
