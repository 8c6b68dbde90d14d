"""What a row's figure is: errors, a share in percent, or the recall of one class; of a model in a recorded run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODELS = ("teacher", "student", "baseline", "uncorrected")  # the last: the student, without `evaluate.bias`
RECALL = "recall of "
IN_WORDS = {"errors": "test errors", "error": "test error, %", "top1": "test top-1, %"}


@dataclass(frozen=True)
class Measure:
    name: str  # errors, error, top1, recall of CLASS

    @property
    def of_class(self) -> str | None:
        """The class whose recall it is."""
        return self.name.removeprefix(RECALL) if self.name.startswith(RECALL) else None

    @property
    def is_known(self) -> bool:
        return self.name in IN_WORDS or bool(self.of_class)

    @property
    def in_words(self) -> str:
        return IN_WORDS.get(self.name) or f"test {self.of_class}s right, %"

    @property
    def more_is_better(self) -> bool:
        return self.name not in ("errors", "error")

    def value(self, run: Mapping[str, Any], model: str) -> float | None:
        """In the unit that is shown. None where the run has no such model, or did not look at it."""
        figures = run["figures"].get(model_of(model)) or {}
        if self.of_class is not None:
            recall = figures.get("recall", {}).get(self.of_class)
            return None if recall is None else 100 * recall
        top1 = figures.get("top1_uncorrected" if model == "uncorrected" else "top1")
        if top1 is None:
            return None
        share = top1 if self.name == "top1" else 1 - top1
        return round(share * figures["samples"]) if self.name == "errors" else 100 * share

    def text(self, value: float, n: int = 1) -> str:
        """`74`, `74.3` as a mean, `73.33`."""
        digits = 2 if self.name != "errors" else 1 if n > 1 else 0
        return f"{value:.{digits}f}"


def model_of(of: str) -> str:
    """The model behind a row's `of`: what is recorded of it has this name."""
    return "student" if of == "uncorrected" else of
