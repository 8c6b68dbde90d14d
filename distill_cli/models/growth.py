"""A model that goes on from a former one: all of its weights, and a classifier with rows for classes that are new.

Rows are copied by class, so the new order need not be the old one. Rows of new classes stay as they were
initialised. Before training, the grown model says of the old classes what the former one said, up to the rounding
of a matrix product of another size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from distill_cli.errors import ConfigError
from distill_cli.models.penultimate import classifier_of


@torch.no_grad()
def grow(model: nn.Module, former: nn.Module, columns: Sequence[int | None], classes: int) -> None:
    """Give `model`, freshly initialised with `classes`, what `former` has learned; both are of one architecture.

    `columns` has the new number of each of the former's classes, None for one that is gone. Raises `ConfigError`
    where more than the rows of the classifier depends on the classes.
    """
    own, weights = model.state_dict(), former.state_dict()
    if list(columns) == list(range(classes)):
        model.load_state_dict(weights)
        return
    rows = _rows_of(model, own, classes)
    other = [name for name in own if name not in rows and own[name].shape != weights[name].shape]
    if not rows or other:
        what = f"{other[0]!r} follows their number" if rows else "it has no linear classifier"
        raise ConfigError(f"student.init: this student cannot take other classes: {what}; train a new one")
    old = [number for number, column in enumerate(columns) if column is not None]
    new = [column for column in columns if column is not None]
    for name in rows:
        grown = own[name].clone()
        grown[new] = weights[name][old]
        weights[name] = grown
    model.load_state_dict(weights)


def _rows_of(model: nn.Module, own: Mapping[str, Tensor], classes: int) -> tuple[str, ...]:
    """The tensors that have a row for each class; none, where there is no linear classifier."""
    classifier = classifier_of(model)
    if classifier is None or classifier.out_features != classes:
        return ()
    path = next(name for name, module in model.named_modules() if module is classifier)
    return tuple(name for name in (f"{path}.weight", f"{path}.bias") if name in own)
