"""What users say of the transfer set; data/transfer.py has which samples these are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distill_cli.config.rules import require


@dataclass
class Transfer:
    """A part of train, for students and their baselines; teachers see all of it."""

    fraction: float
    classes: Any  # names, or numbers where no class has such a name; null: all
    without: Any  # the same; null: none

    def __post_init__(self) -> None:
        share = "must be in (0, 1]: the share of train that students see"
        require(0 < self.fraction <= 1, "transfer.fraction", f"{self.fraction:g}", share)
        both = self.classes is not None and self.without is not None
        require(not both, "transfer.without", self.without, "beside transfer.classes; leave one of them out")

    @property
    def option(self) -> str:
        """What was set, as it was typed; nothing where nothing was."""
        for name in ("classes", "without"):
            if getattr(self, name) is not None:
                return f"transfer.{name}={_typed(getattr(self, name))}"
        return f"transfer.fraction={self.fraction:g}" if self.fraction < 1 else ""


def several(value: Any) -> list[Any]:
    """One class is a list of one."""
    return value if isinstance(value, list) else [value]


def _typed(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
