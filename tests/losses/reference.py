"""The published values that losses are held to, and what several tests of losses do."""

import json
from pathlib import Path

import numpy as np
import torch

from distill_cli.losses.outputs import Outputs

GOLDEN = Path(__file__).parents[1] / "assets/golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0)


def published(*losses):
    """The entries of some losses: `params`, `inputs`, `value`, `grad_norm`."""
    return [entry for entry in EXPECTED if entry["loss"] in losses]


def named(entry):
    """An id for pytest."""
    return "-".join([entry["loss"], *(f"{key}={value}" for key, value in entry["params"].items())])


def golden_input(name):
    """float64; `labels` int64."""
    return torch.from_numpy(np.load(GOLDEN / "inputs.npz")[name])


def logits(seed, rows=16, classes=10, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)


def value_and_gradient(loss, student, teacher, temperature=1.0, labels=None):
    """Of a loss between logits: its value, and its gradient by the student's."""
    student = student.clone().requires_grad_()
    labels = torch.zeros(len(student), dtype=torch.long) if labels is None else labels
    value = loss(Outputs(student), Outputs(teacher), labels, temperature)
    (gradient,) = torch.autograd.grad(value, student)
    return value.item(), gradient
