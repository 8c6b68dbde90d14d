"""What is added to the logits of a student before it is measured, as users type it (`evaluate.bias`).

`{3: 3.5}` is a number for each class that is named; `fit` in place of a number has it chosen on the validation
part, and alone stands for all classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from distill_cli.config.classes import class_number
from distill_cli.errors import ConfigError

OPTION, FIT = "evaluate.bias", "fit"
Bias = Mapping[str, float | None]  # by the name of the class, in the data's order; None: to be fitted


def read_bias(typed: Any, classes: Sequence[str], *, can_fit: bool) -> Bias:
    """Raises `ConfigError` for what is no number, and for a class that is not there, or there twice.

    `can_fit`: there is a validation part.
    """
    found = _read(typed, classes)
    if None in found.values() and not can_fit:
        raise ConfigError(
            f"{OPTION}={typed}: {FIT} looks at the validation part, and there is none; set data.validation=0.1"
        )
    return found


def _read(typed: Any, classes: Sequence[str]) -> Bias:
    if typed is None:
        return {}
    if typed == FIT:
        return dict.fromkeys(classes)
    if not isinstance(typed, Mapping):
        raise ConfigError(f"{OPTION}={typed}: must be a number for each class, as {{3: 3.5}}, or {FIT}")
    found: dict[int, float | None] = {}
    for word, value in typed.items():
        number = class_number(word, classes, f"{OPTION}.{word}")
        if number in found:
            raise ConfigError(f"{OPTION}: class {classes[number]!r} is there twice; leave one of them out")
        found[number] = _number(value, f"{OPTION}.{word}")
    return {classes[number]: found[number] for number in sorted(found)}


def _number(value: Any, option: str) -> float | None:
    if value == FIT:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number:
        raise ConfigError(f"{option}={value}: must be a number, or {FIT}")
    return float(value)
