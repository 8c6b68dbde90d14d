"""Gathering the figures that a diagnosis is made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from distill_cli.evaluation.diagnosis import Evidence
from distill_cli.plan import Plan
from distill_cli.runtime.device import Runtime


def gather(
    plan: Plan, student: nn.Module, runtime: Runtime, models: Mapping[str, dict[str, Any] | None]
) -> Evidence:
    """`student` is on the device, in eval mode; `models` are the report's figures of each role."""
    return Evidence()
