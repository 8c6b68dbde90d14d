"""The transfer set: which train samples students learn from (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).

Their teacher, and the soft labels that it gives, know all of train; so students with several transfer sets share
one cache, and a sample keeps its number and its views. A sample without a label belongs to no class that could be
named: `classes` leaves it out, `without` keeps it. `fraction` is decided sample by sample, by a hash of what a
sample is: the share is met on average, and a larger one contains the smaller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill_cli.config.classes import class_number, listed
from distill_cli.config.transfer import Transfer, several
from distill_cli.data.holdout import TRANSFER, chosen, keys_of
from distill_cli.data.splits import UNLABELLED, DataSet
from distill_cli.errors import ConfigError


@dataclass(frozen=True)
class TransferSet:
    """`index` are numbers of train samples, in order; `shown` and `hidden` names of classes."""

    index: NDArray[np.int64]
    samples: int  # of train
    fraction: float = 1.0
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    unlabelled: int = 0  # samples that were left out for want of a label
    labelled: int = 0  # classes of which a sample with a label is left
    option: str = ""  # what was typed

    def __len__(self) -> int:
        return len(self.index)

    @property
    def is_whole(self) -> bool:
        """Whether it is all of train, however that was said."""
        return len(self) == self.samples

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What it adds to the identity of a student: nothing where it is all of train.

        Classes are said the shorter way, however they were typed.
        """
        if self.is_whole:
            return {}
        few = self.leaves_few_out
        found = {
            "classes": None if few else list(self.shown),
            "without": list(self.hidden) if few and self.hidden else None,
            "fraction": self.fraction,
        }
        return {"transfer": {**found, **({"unlabelled": False} if self.unlabelled else {})}}

    @property
    def leaves_few_out(self) -> bool:
        """Whether fewer classes are left out than are shown."""
        return len(self.hidden) < len(self.shown)

    def __str__(self) -> str:
        """As a report has it."""
        without = f"without {listed(self.hidden)}"
        alone = f"{listed(self.shown) or 'what has no label'} alone"
        said = [
            *([without if self.leaves_few_out else alone] if self.hidden else []),
            *(["without what has no label"] if self.unlabelled else []),
            *([f"a share of {self.fraction:g}"] if self.fraction < 1 else []),
        ]
        return f"{len(self):,} of {self.samples:,} train samples: {', '.join(said)}"

    def need_labels(self, who: str, remedy: str) -> None:
        """Raises `ConfigError` where `who` learns from hard labels, and there are not two classes to tell apart."""
        if self.is_whole or self.labelled > 1:
            return
        seen = "one class alone, and nothing to tell it from" if self.labelled else "no sample with a label"
        raise ConfigError(f"{self.option}: {who} would see {seen}; {remedy}")


def transfer_set(settings: Transfer, data: DataSet, *, mixes: bool = False) -> TransferSet:
    """Raises `ConfigError` for classes that are not there, and where nothing is left.

    So it does where views are mixtures: a partner is drawn from all of train, and the teacher has labelled that.
    """
    labels = data.train.labels
    everything = np.ones(len(labels), np.bool_)
    shown = _shown(settings, data.classes)
    of_classes = everything
    if len(shown) < len(data.classes) or settings.classes is not None:
        keeps = np.array([number in shown for number in range(len(data.classes))])
        of_classes = np.where(labels == UNLABELLED, settings.classes is None, keeps[labels])
    by_hash = (
        everything if settings.fraction == 1 else chosen(TRANSFER, settings.fraction, keys_of(data.train))
    )
    index = np.flatnonzero(of_classes & by_hash)
    found = TransferSet(
        index=index,
        samples=len(labels),
        fraction=settings.fraction,
        shown=tuple(name for number, name in enumerate(data.classes) if number in shown),
        hidden=tuple(name for number, name in enumerate(data.classes) if number not in shown),
        unlabelled=0 if settings.classes is None else int((labels == UNLABELLED).sum()),
        labelled=len({*np.unique(labels[index])} - {UNLABELLED}),
        option=settings.option,
    )
    if not len(found):
        raise ConfigError(f"{settings.option}: no train sample is left for students")
    if mixes and not found.is_whole:
        raise ConfigError(
            f"{settings.option}: views mix in samples that are not in the transfer set; set views.mixing=none"
        )
    return found


def _shown(settings: Transfer, classes: Sequence[str]) -> set[int]:
    """Numbers of the classes that are shown."""
    everything = set(range(len(classes)))
    for name, typed in (("classes", settings.classes), ("without", settings.without)):
        if typed is not None:
            named = {class_number(word, classes, settings.option) for word in several(typed)}
            return named if name == "classes" else everything - named
    return everything
