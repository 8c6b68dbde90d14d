"""Thresholds a student must hold, for CI. No torch.

A figure that was not measured misses its gate: CI must never pass because nobody looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from distill_cli.config.gates import Gates
from distill_cli.errors import GateFailed
from distill_cli.evaluation.reference import Reference
from distill_cli.evaluation.report import is_within_noise

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
REFERENCE = "reference"
NO_SAMPLES = "there are no test samples"
NO_BASELINE = "there is no baseline; distill run trains it"
AGAINST_BASELINE = ("min_gain", "min_gap_closed")  # these do not ask whether it is more than chance
ROUNDING = 1e-9  # 0.93 - 0.90 is a little less than 0.03


@dataclass(frozen=True)
class Verdict:
    """One gate, held against a report. `value` is None where the report has no such figure."""

    gate: str
    threshold: float | str  # of the reference: its path
    value: float | None
    passed: bool
    figure: str  # the value as people read it, or why there is none

    @property
    def override(self) -> str:
        return f"gates.{self.gate}={self.threshold}"

    @property
    def outcome(self) -> str:
        return f"{'passed' if self.passed else 'failed'} ({self.figure})"

    def __str__(self) -> str:
        return f"{self.override}: {self.outcome}"

    def document(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    gates: Gates,
    report: Mapping[str, Any],
    reference: Reference | None = None,
    no_baseline: str = NO_BASELINE,
) -> list[Verdict]:
    """A verdict for each gate that is set. `no_baseline` says why there is none, where there is none."""
    thresholds = {gate: getattr(gates, gate) for gate in FIGURES}
    verdicts = [
        _verdict(gate, threshold, report, no_baseline)
        for gate, threshold in thresholds.items()
        if threshold is not None
    ]
    return verdicts if reference is None else [*verdicts, _no_worse_than(reference, report)]


def lines(verdicts: list[Verdict]) -> list[str]:
    """A line each, with the outcomes below one another."""
    width = max((len(verdict.override) for verdict in verdicts), default=0) + 1
    return [f"{verdict.override + ':':<{width}} {verdict.outcome}" for verdict in verdicts]


def hold(verdicts: list[Verdict]) -> None:
    """Raises `GateFailed` naming every gate that was missed."""
    failed = [str(verdict) for verdict in verdicts if not verdict.passed]
    if failed:
        raise GateFailed("; ".join(failed))


def _verdict(gate: str, threshold: float, report: Mapping[str, Any], no_baseline: str) -> Verdict:
    section, figure = FIGURES[gate]
    found = report["comparison"] if section == "comparison" else report["models"][section]
    value = found.get(figure)
    if value is None:
        reason = _why_not_measured(gate, report, no_baseline)
        return Verdict(gate, threshold, None, passed=False, figure=f"not measured: {reason}")
    slack = value - threshold if gate.startswith("min_") else threshold - value
    passed, figure = slack >= -ROUNDING, _shown(value, threshold)
    if passed and gate in AGAINST_BASELINE and is_within_noise(report):
        figure += ", within noise"
    return Verdict(gate, threshold, value, passed, figure)


def _why_not_measured(gate: str, report: Mapping[str, Any], no_baseline: str) -> str:
    if gate == "max_latency_ms":
        return "evaluate.latency=true measures it"
    if report["models"]["student"]["top1"] is None:
        return NO_SAMPLES
    if report["models"]["baseline"] is None:
        return no_baseline
    return "the teacher is no better than the baseline, so there is no gap to close"


def _no_worse_than(reference: Reference, report: Mapping[str, Any]) -> Verdict:
    top1 = report["models"]["student"]["top1"]
    if top1 is None:
        return Verdict(REFERENCE, reference.path, None, passed=False, figure=f"not measured: {NO_SAMPLES}")
    passed = top1 >= reference.low - ROUNDING
    figure = (
        f"{_shown(top1, reference.low)}, {'not ' if passed else ''}below {_shown(reference.low, top1)}: "
        f"the reference has {reference.top1:.4f}, less its confidence interval"
    )
    return Verdict(REFERENCE, reference.path, top1, passed, figure)


def _shown(value: float, other: float) -> str:
    """With four decimals, or as many as tell it from `other`; a count as it is."""
    if isinstance(value, int):
        return f"{value:,}"
    texts = [f"{value:z.{decimals}f}" for decimals in range(4, 10)]
    telling = (text for text in texts if (float(text) - other) * (value - other) > 0)
    return texts[0] if abs(value - other) <= ROUNDING else next(telling, texts[-1])
