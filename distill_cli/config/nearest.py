"""The name somebody probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import takewhile

LIKELY = 0.6  # how alike two names must be, from 0 to 1
AT_MOST = 4  # suggestions


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Of the most alike, the one that begins alike: resnet20 for resnet21, and not resnet32."""
    close = get_close_matches(name, list(names), n=3, cutoff=LIKELY)
    return max(close, key=lambda candidate: _shared_start(candidate, name), default=None)


def nearest_keys(key: str, keys: list[str]) -> list[str]:
    """The dotted keys that `key` may stand for, the likeliest only.

    In this order: the same last word further down (`student.lr`), a sibling (`student.epoch`), the same last
    word elsewhere (`epochs`), and at the top what looks alike elsewhere (`batchsize`).
    """
    parent, _, last = key.rpartition(".")
    prefix = f"{parent}." if parent else ""
    if below := [k for k in keys if k.startswith(prefix) and _last(k) == last][:AT_MOST]:
        return below
    if sibling := nearest(last, [_last(k) for k in keys if k.rpartition(".")[0] == parent]):
        return [prefix + sibling]
    if elsewhere := [k for k in keys if _last(k) == last][:AT_MOST]:
        return elsewhere
    alike = nearest(last, {_last(k) for k in keys}) if not parent else None
    return [k for k in keys if _last(k) == alike][:AT_MOST]


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _shared_start(one: str, other: str) -> int:
    """Letters that two names have in common before they part."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
