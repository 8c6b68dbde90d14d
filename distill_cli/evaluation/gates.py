"""Thresholds a student must hold, for CI. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from distill_cli.config.schema import Gates
from distill_cli.errors import GateFailed

# What each gate looks at: a section of the report and a figure in it.
FIGURES = {
    "min_top1": ("student", "top1"),
    "max_drop": ("comparison", "drop"),
    "min_gain": ("comparison", "gain"),
    "min_gap_closed": ("comparison", "gap_closed"),
    "min_agreement": ("student", "agreement"),
    "max_ece": ("student", "ece"),
    "max_params": ("student", "parameters"),
    "max_latency_ms": ("student", "latency_ms_b1_p50"),
}


@dataclass(frozen=True)
class Verdict:
    """One gate, held against a report. `value` is None where the report has no such figure."""

    gate: str
    threshold: float
    value: float | None
    passed: bool

    def __str__(self) -> str:
        value = "not measured" if self.value is None else f"{self.value:g}"
        return f"gates.{self.gate}={self.threshold:g}: {'passed' if self.passed else 'failed'} ({value})"

    def document(self) -> dict[str, Any]:
        return asdict(self)


def judge(gates: Gates, report: Mapping[str, Any]) -> list[Verdict]:
    """A verdict for each gate that is set."""
    thresholds = {field.name: getattr(gates, field.name) for field in fields(gates)}
    return [
        _verdict(gate, threshold, report) for gate, threshold in thresholds.items() if threshold is not None
    ]


def hold(verdicts: list[Verdict]) -> None:
    """Raises `GateFailed` naming every gate that was missed."""
    failed = [str(verdict) for verdict in verdicts if not verdict.passed]
    if failed:
        raise GateFailed("; ".join(failed))


def _verdict(gate: str, threshold: float, report: Mapping[str, Any]) -> Verdict:
    section, figure = FIGURES[gate]
    found = report["comparison"] if section == "comparison" else report["models"][section]
    value = found.get(figure)
    if value is None:
        return Verdict(gate, threshold, None, passed=False)
    passed = value >= threshold if gate.startswith("min_") else value <= threshold
    return Verdict(gate, threshold, value, passed)
