"""The transfer set: the train samples that a student learns from (Hinton et al. 2015, arXiv:1503.02531)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distill_cli.config.rules import require


@dataclass
class Transfer:
    """A part of train, for students and their baselines; teachers see all of it."""

    fraction: float
    classes: Any  # names, or numbers where no class has such a name; null: all
    without: Any  # the same

    def __post_init__(self) -> None:
        rule = "must be in (0, 1]: the share of each class that students see"
        require(0 < self.fraction <= 1, "transfer.fraction", f"{self.fraction:g}", rule)
        both = self.classes is not None and self.without is not None
        require(not both, "transfer.without", self.without, "beside transfer.classes; leave one of them out")
