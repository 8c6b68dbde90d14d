"""The thresholds of CI, and what people type for a fraction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from distill_cli.config.rules import require
from distill_cli.errors import ConfigError


@dataclass
class Gates:
    """Thresholds for CI; null is no gate. Fractions, not percent.

    `Any`, because no type could answer `91%` with what to type instead.
    """

    min_top1: Any
    max_drop: Any
    min_gain: Any
    min_gap_closed: Any
    min_agreement: Any
    max_ece: Any
    max_params: Any
    max_latency_ms: Any
    reference: str | None

    def check(self) -> None:
        for field in ("min_top1", "min_agreement", "max_ece"):
            self._check_fraction(field, 0, 1)
        for field in ("max_drop", "min_gain"):
            self._check_fraction(field, -1, 1)
        self._check_fraction("min_gap_closed", -1, 2)  # above 1 for a student better than its teacher
        latency, params = self.max_latency_ms, self.max_params
        is_latency = latency is None or 0 < _number(latency) < math.inf
        require(is_latency, "gates.max_latency_ms", latency, "must be a number above 0, in milliseconds")
        is_count = params is None or (_number(params) >= 1 and _number(params).is_integer())
        require(is_count, "gates.max_params", params, "must be a whole number above 0, such as 50000")
        self.max_params = None if params is None else int(params)
        require(self.reference != "", "gates.reference", "", "must be the path of a report.json")

    def _check_fraction(self, field: str, least: int, most: int) -> None:
        value = getattr(self, field)
        if value is not None and not least <= _number(value) <= most:
            meant = _fraction(value, most)
            is_percent = least <= meant <= most
            rule = f"is a fraction: {meant:g}" if is_percent else f"must be a number in [{least}, {most}]"
            raise ConfigError(f"gates.{field}={value}: {rule}")


def _number(value: object) -> float:
    """NaN for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _fraction(typed: object, most: int) -> float:
    """What 91, `91%` and `0,91` mean; NaN for what means nothing."""
    text = str(typed).strip().replace(",", ".")
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        return math.nan
    return number / 100 if text.endswith("%") or abs(number) > most else number
