"""Where a student comes from: every artefact on the way to its report, as their own files say. No torch.

An artefact's identity is all that its bytes depend on. When and where it was built is not among that, so it is told
only on request: two equal reports are equal bytes without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.store import BUILD_NOTES, Place

Step = dict[str, Any]


def provenance(places: Mapping[str, Place], *, with_notes: bool) -> list[Step]:
    """A step for each role, in the order in which they were made."""
    return [
        {
            "role": role,
            "kind": place.kind,
            "name": place.name,
            "key": place.key,
            "identity": dict(place.identity),
            "build": _notes(place) if with_notes else None,
        }
        for role, place in places.items()
    ]


def _notes(place: Place) -> dict[str, Any] | None:
    """Command, seconds and versions. Soft labels have none: many commands may have filled a set."""
    path = place.directory / BUILD_NOTES
    notes: dict[str, Any] | None = read_json(path) if path.is_file() else None
    return notes
