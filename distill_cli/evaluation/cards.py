"""The few figures with which a report's page begins. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill_cli.evaluation.report import chance, is_within_noise


@dataclass(frozen=True)
class Card:
    value: str
    label: str
    note: str


def cards(report: Mapping[str, Any]) -> list[Card]:
    """What is known of: accuracy kept, gain, gap closed, size, latency, agreement."""
    found = (_kept(report), _gain(report), _gap(report), _size(report), _latency(report), _agreement(report))
    return [card for card in found if card is not None]


def _kept(report: Mapping[str, Any]) -> Card | None:
    kept, student, teacher = report["comparison"]["accuracy_kept"], *_two(report)
    if kept is None:
        return None
    low, high = student["top1_interval"]
    note = f"{student['top1']:.2%} top-1 (95% interval {100 * low:.1f}–{high:.1%}), teacher {teacher['top1']:.2%}"
    return Card(f"{kept:.1%}", "of the teacher's accuracy kept", note)


def _gain(report: Mapping[str, Any]) -> Card | None:
    found = report["comparison"]
    if found["gain"] is None or found["mcnemar"] is None:
        return None
    value = f"{100 * found['gain']:+.2f}"
    return Card(value, "points against the baseline", f"{_verdict(report)}{chance(report)}")


def _gap(report: Mapping[str, Any]) -> Card | None:
    """Nothing where student and baseline may be equally good: then none may be closed."""
    closed = report["comparison"]["gap_closed"]
    if closed is None or is_within_noise(report):
        return None
    alone, theirs = (report["models"][role]["top1"] for role in ("baseline", "teacher"))
    return Card(f"{closed:.0%}", "of the gap to the teacher closed", f"from {alone:.2%} to {theirs:.2%}")


def _verdict(report: Mapping[str, Any]) -> str:
    return "within noise: " if is_within_noise(report) else ""


def _size(report: Mapping[str, Any]) -> Card | None:
    if report["comparison"]["size_saved"] is None:
        return None
    ours, theirs = (model["parameters"] for model in _two(report))
    value, label = _times(theirs / ours, "fewer parameters", "more parameters")
    return Card(value, label, f"{ours:,}, teacher {theirs:,}")


def _latency(report: Mapping[str, Any]) -> Card | None:
    if report["comparison"]["latency_saved"] is None:
        return None
    ours, theirs = (model["latency_ms_b1_p50"] for model in _two(report))
    value, label = _times(theirs / ours, "faster", "slower")
    device = report["settings"]["device"]
    return Card(value, label, f"{ours:.3f} ms a picture, teacher {theirs:.3f} ms, on {device}")


def _agreement(report: Mapping[str, Any]) -> Card | None:
    agreement = _two(report)[0].get("agreement")
    if agreement is None:
        return None
    return Card(f"{agreement:.1%}", "agreement with the teacher", "both name the same class, right or wrong")


def _two(report: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return report["models"]["student"], report["models"]["teacher"]


def _times(ratio: float, better: str, worse: str) -> tuple[str, str]:
    """`41×`, and which way round."""
    label = better if ratio >= 1 else worse
    times = max(ratio, 1 / ratio)
    return (f"{times:.1f}×" if times < 10 else f"{times:,.0f}×"), label
