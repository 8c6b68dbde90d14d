"""Why a student stays behind: the known causes, each held against figures of the run. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Evidence:
    """What the rules look at. None: not known."""


@dataclass(frozen=True)
class Finding:
    """One cause that fits the figures, and the override to try."""

    rule: str
    says: str  # one plain sentence
    evidence: dict[str, float]
    try_: str

    def document(self) -> dict[str, Any]:
        return {"rule": self.rule, "says": self.says, "evidence": self.evidence, "try": self.try_}


def diagnose(evidence: Evidence) -> list[Finding]:
    """The causes that fit, the best first. None for a student that keeps up."""
    return []
