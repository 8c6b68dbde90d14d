"""What a field of a description or of a record may hold: plain values from YAML or JSON, checked before use."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

SHOWN = 60  # characters of a wrong value


@dataclass(frozen=True)
class Shape:
    wants: str  # in words
    fits: Callable[[Any], bool]


def fault(said: Mapping[str, Any], shapes: Mapping[str, Shape]) -> str | None:
    """The first field that does not fit, in words."""
    for name, shape in shapes.items():
        if name in said and not shape.fits(said[name]):
            return f"{name}: {str(said[name])[:SHOWN]} must be {shape.wants}"
    return None


def one_of(*values: str) -> Shape:
    return Shape(f"one of {', '.join(values)}" if values[1:] else values[0], lambda value: value in values)


def list_of(shape: Shape, wants: str) -> Shape:
    """At least one of them."""
    return Shape(wants, lambda value: isinstance(value, list) and bool(value) and all(map(shape.fits, value)))


def mapping_of(shape: Shape, wants: str) -> Shape:
    def fits(value: object) -> bool:
        return isinstance(value, dict) and all(isinstance(k, str) and shape.fits(v) for k, v in value.items())

    return Shape(wants, fits)


def or_none(shape: Shape) -> Shape:
    return Shape(shape.wants, lambda value: value is None or shape.fits(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _are_words(value: object) -> bool:
    try:
        return isinstance(value, str) and shlex.split(value) is not None
    except ValueError:  # a quote that is not closed
        return False


TEXT = Shape("a text", lambda value: isinstance(value, str) and bool(value.strip()))
WORDS = Shape("words as one types them, with all quotes closed", _are_words)
FLAG = Shape("true or false", lambda value: isinstance(value, bool))
NUMBER = Shape("a number", _is_number)
COUNT = Shape("a whole number", _is_count)
MAPPING = Shape("a mapping of names to values", lambda value: isinstance(value, dict))
