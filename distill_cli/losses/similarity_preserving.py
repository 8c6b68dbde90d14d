"""Similarity preserving: ‖S - T‖² / batch², with S and T the products x_i · x_j of all samples, each row of norm 1.

x is what leaves a layer, flattened, so student and teacher may differ in every size. Tung and Mori 2019,
arXiv:1907.09682. Of feature maps the last pair of layers alone counts, as published; `of: embedding` takes the
embeddings. The trap: rows are divided by their own norm, not the matrix by its.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from distill_cli.losses.outputs import Outputs, at_least_float32
from distill_cli.losses.soften import Temperature

KINDS = ("features", "embedding")


class SimilarityPreserving:
    """`of`: what is compared, one of `KINDS`."""

    def __init__(self, of: str = "features") -> None:
        if of not in KINDS:
            raise ValueError(f"of={of}: must be {' or '.join(KINDS)}")
        self.of = of

    def __call__(
        self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature
    ) -> Tensor:
        difference = similarities(self._rows(student)) - similarities(self._rows(teacher))
        return difference.square().mean()

    def _rows(self, outputs: Outputs) -> Tensor:
        return outputs.embedded if self.of == "embedding" else at_least_float32(outputs.features[-1])


def similarities(values: Tensor) -> Tensor:
    """Of all samples to each other, (batch, batch), in rows of norm 1. `values` is (batch, ...)."""
    rows = values.flatten(start_dim=1)
    return F.normalize(rows @ rows.T)
