"""Keys: what makes two artefacts the same one.

A key is the sha256 of an identity written as canonical JSON. An identity holds plain values only, so that it
can be kept beside the artefact and two of them can be compared by a person.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

Identity = Mapping[str, Any]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, and no NaN: the same text for the same value, everywhere."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key_of(identity: Identity) -> str:
    """64 hexadecimal digits."""
    return sha256(canonical_json(identity).encode()).hexdigest()


def differing(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted paths at which two identities differ, with our value and theirs; null where there is none."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in sorted({*ours, *theirs}):
            yield from differing(ours.get(key), theirs.get(key), f"{path}.{key}" if path else str(key))
    elif ours != theirs:
        yield path, ours, theirs


def differences(ours: Any, theirs: Any) -> list[str]:
    """The same in words: `recipe.epochs: 10, not 20`."""
    return [f"{path}: {_short(there)}, not {_short(here)}" for path, here, there in differing(ours, theirs)]


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 40 else text[:37] + "..."
