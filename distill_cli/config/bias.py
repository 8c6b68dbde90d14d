"""What is added to the logits of a student before it is measured, as users type it (`evaluate.bias`).

`{3: 3.5}` is a number for each class that is named; `fit` in place of a number has it chosen on the validation
part, and alone stands for all classes. To OmegaConf 3 and "3" are two keys, and `evaluate.bias.3=2` puts the
second one beside the first of an experiment: the later one counts. A mapping that is typed comes as a text
(config/overrides.py has the reason).
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from distill_cli.config.classes import class_number, listed
from distill_cli.config.overrides import FREE
from distill_cli.errors import ConfigError

OPTION, FIT = FREE, "fit"
EXPECTED = f"must be a number for each class, as {{3: 3.5}}, or {FIT}"
Bias = Mapping[str, float | None]  # by the name of the class, in the data's order; None: to be fitted


def read_bias(typed: Any, classes: Sequence[str], validation: Container[int]) -> Bias:
    """`validation` are numbers of the classes that can be fitted, since their samples are in the validation part.

    Raises `ConfigError` for what is no number, and for a class that is not there, or cannot be fitted.
    """
    found = _read(typed, classes)
    fitted = {number for number, name in enumerate(classes) if name in found and found[name] is None}
    for number in sorted(fitted):
        if number not in validation:
            raise ConfigError(
                f"{OPTION}={typed}: no sample of class {classes[number]!r} is in the validation part, which {FIT} "
                "looks at; set data.validation=0.1, or more"
            )
    others = [number for number, _ in enumerate(classes) if number not in fitted]
    if fitted and others and not any(number in validation for number in others):
        raise ConfigError(
            f"{OPTION}={typed}: the validation part has these classes alone, so no number would be large enough; "
            "give one of them a number"
        )
    return found


def _read(typed: Any, classes: Sequence[str]) -> Bias:
    if typed is None:
        return {}
    if typed == FIT:
        return dict.fromkeys(classes)
    if isinstance(typed, str) and re.fullmatch(r"\{.*\}", typed):
        typed = dict(_pairs(typed))
    if not isinstance(typed, Mapping):
        raise ConfigError(f"{OPTION}={typed}: {EXPECTED}")
    found: dict[int, float | None] = {}
    for word, value in typed.items():
        number = class_number(word, classes, f"{OPTION}.{word}")
        found[number] = _number(value, f"{OPTION}.{word}")
    return {classes[number]: found[number] for number in sorted(found)}


def _pairs(text: str) -> Iterator[tuple[str, float | str]]:
    """Of `{3: 3.5, Ankle boot: fit}`."""
    for pair in filter(None, map(str.strip, text[1:-1].split(","))):
        word, colon, value = (part.strip() for part in pair.rpartition(":"))
        if not colon:
            raise ConfigError(f"{OPTION}={text}: {EXPECTED}")
        try:
            yield word, float(value)
        except ValueError:
            yield word, value


def bias_text(bias: Bias, settled: Mapping[str, float], validation: int) -> str:
    """As a report has it: `3 +1.984, fitted on the 6,037 validation samples of its validation top-1`.

    `settled` has the numbers for `bias`.
    """
    said = listed([f"{name} {value:+g}" for name, value in settled.items()])
    fitted = [name for name, value in bias.items() if value is None]
    if not fitted:
        return said
    which = f"of which {listed(fitted)} " if len(fitted) < len(bias) else ""
    return f"{said}, {which}fitted on the {validation:,} validation samples of its validation top-1"


def _number(value: Any, option: str) -> float | None:
    if value == FIT:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number:
        raise ConfigError(f"{option}={value}: must be a number, or {FIT}")
    return float(value)
