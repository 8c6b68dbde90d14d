"""What an encoding costs the loss, measured on the teacher's own logits when they are stored.

A reference student is the teacher plus unit Gaussian noise: about as far from it as a student half way. The loss
is `kd`, once with all logits and once with what the encoding keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from distill_cli.losses.kd import softened_kl
from distill_cli.losses.outputs import Outputs
from distill_cli.soft_labels.encodings.encoding import Encoding
from distill_cli.soft_labels.fidelity import TEMPERATURES
from distill_cli.soft_labels.rows import as_bytes

SEED = 0
NOTHING = 1e-9  # nats; a KL below it is lost in the rounding of a float32 student


def measure(encoding: Encoding, logits: Tensor) -> dict[str, Any]:
    """Plain JSON for the seal, for logits (rows, classes) on any device: see `fidelity`.

    A list has one number for each temperature: the mean and the maximum over rows of
    |L_encoded - L_dense| / L_dense, and the sum of L_encoded over that of L_dense.
    """
    logits = logits.detach().float().cpu()
    stored = encoding.decode(as_bytes(encoding.encode(logits)))
    pairs = list(_losses(stored.double(), logits.double()))
    errors = [_relative(encoded, dense) for encoded, dense in pairs]
    return {
        "temperatures": list(TEMPERATURES),
        "mean": [_rounded(error.mean()) for error in errors],
        "max": [_rounded(error.max()) for error in errors],
        "kept": [_rounded((encoded.sum() + NOTHING) / (dense.sum() + NOTHING)) for encoded, dense in pairs],
        "lower_bound": stored.top is not None,
        "rows": len(logits),
    }


def _losses(stored: Outputs, teacher: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """For each temperature the encoded and the dense loss of each row, in float64; T² cancels."""
    noise = torch.randn(teacher.shape, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    student = Outputs(teacher + noise)
    for temperature in TEMPERATURES:
        encoded = softened_kl(student, stored, temperature)
        yield encoded, softened_kl(student, Outputs(teacher), temperature)


def _relative(encoded: Tensor, dense: Tensor) -> Tensor:
    return (encoded - dense).abs() / (dense + NOTHING)


def _rounded(value: Tensor) -> float:
    return float(f"{value.item():.4g}")
