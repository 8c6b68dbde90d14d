"""A loss tried out before training. One that a user wrote may fail in any way; a line says where and why."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from distill_cli.errors import ConfigError, DistillError
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import Temperature
from distill_cli.schedules import values_of
from distill_cli.training.terms import Term


def try_out(
    term: Term, student: Outputs, teacher: Outputs, labels: Tensor, at: Temperature, inputs: Tensor
) -> None:
    """Raises `ConfigError` for a loss that fails, or whose value nothing could be learned from."""
    weights = values_of(term.schedule)
    if min(weights) < 0:
        raise ConfigError(
            f"loss={term.name}: its weight_schedule goes down to {min(weights):g}; 0 is the least"
        )
    if term.weight is None and max(weights) > 1:
        raise ConfigError(
            f"loss={term.name}: its weight_schedule goes up to {max(weights):g}; 1 is the most for a loss that "
            "goes by alpha; give it a weight of its own"
        )
    with torch.enable_grad(), blamed(term.name, term.loss):
        value: object = term(_with_gradient(student), teacher, labels, at, inputs)
    if not isinstance(value, Tensor) or value.ndim > 0:
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ConfigError(
            f"loss={term.name} must return a tensor (), the mean over the batch; it returns {what}"
        )
    if not value.requires_grad:
        raise ConfigError(f"loss={term.name} has no gradient: its value does not depend on the student")


@contextmanager
def blamed(name: str, loss: object) -> Iterator[None]:
    """Where a loss that a user wrote fails within, say so in its own words. Where ours does, that is a bug."""
    try:
        yield
    except DistillError:
        raise
    except Exception as error:
        if type(loss).__module__.startswith("distill_cli."):
            raise
        text = " ".join(str(error).split())
        raise ConfigError(
            f"loss={name} fails: {type(error).__name__}: {text}{_where(error, loss)}"
        ) from error


def _with_gradient(student: Outputs) -> Outputs:
    def leaf(tensor: Tensor) -> Tensor:
        return tensor.detach().requires_grad_()

    return replace(
        student,
        dense=leaf(student.logits),
        embedding=None if student.embedding is None else leaf(student.embedding),
        features=tuple(leaf(feature) for feature in student.features),
    )


def _where(error: Exception, loss: object) -> str:
    """The line of the loss's own file, where there is one."""
    file = getattr(sys.modules.get(type(loss).__module__), "__file__", None)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
