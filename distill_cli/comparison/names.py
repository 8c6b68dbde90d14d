"""What stands in an identity, under the names that a user types.

The tables are all there is to it: the longest path that fits gives the name, and the rest of the path follows
(`recipe.optimizer.lr` is `student.optimizer.lr`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

OF_STUDENT = {
    "model": "student",
    "recipe": "student",
    "init.weights": "student.init",
    "distillation.loss": "loss",
    "distillation.temperature": "temperature_schedule",
    "distillation.temperature.start": "temperature",
    "distillation.alpha": "alpha_schedule",
    "distillation.alpha.start": "alpha",
    "distillation.source": "teacher_source",
}
OF_LABELS = {"encoding": "soft_labels", "format": "soft_labels.format"}
OF_TEACHER = {
    "model": "teacher",
    "recipe": "teacher",
    "views": "teacher.views",
    "seed": "teacher.seed",
    "checkpoint": "teacher.checkpoint",
    "format": "teacher.format",
}

# Of every identity: said elsewhere, or no setting. A student's seed is what rows are folded over.
NO_SETTING = {
    "students": ("stage", "seed", "init.classes", "distillation.soft_labels", "distillation.teacher"),
    "soft_labels": ("stage", "teacher", "views", "data", "precision"),
    "teachers": ("stage", "data", "precision", "classes", "mean", "std", "image_shape"),
}
IN_ONE_CELL = ("model", "distillation.loss")  # other specs have a column for each argument
DIGESTS = ("data", "checkpoint", "init.weights")  # shown by their first digits

# The order of the columns, by the first word of their names.
ORDER = (
    "student",
    "loss",
    "temperature",
    "temperature_schedule",
    "alpha",
    "alpha_schedule",
    "views",
    "soft_labels",
    "teacher_source",
    "teacher",
)

# YAMLs whose name is not that of the class in small letters.
WORDS = {"NoAugmentation": "none", "CutMix": "cutmix", "TopK": "top_k"}
NAMED_BY = {"distill_cli.soft_labels.encodings.Dense": "dtype"}  # the argument that is the name


def typed(path: str, names: Mapping[str, str]) -> str:
    """The name of what stands at `path`."""
    known, rest = path, ""
    while known not in names:
        if "." not in known:
            return path
        known, _, last = known.rpartition(".")
        rest = f".{last}{rest}"
    return names[known] + rest


def word_of(spec: Mapping[str, Any]) -> str:
    """What a user types to choose a spec: `shift`, `kd`, `cosine`. A loss is called after its module."""
    target = str(spec.get("_target_", ""))
    if not target:
        return "none"
    if target in NAMED_BY:
        return str(spec.get(NAMED_BY[target]))
    module, _, name = target.rpartition(".")
    if ".losses." in target:
        return module.rpartition(".")[2]
    own = name.removesuffix("Rate")
    return WORDS.get(own) or re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", own).lower()


def place_of(name: str) -> tuple[int, str]:
    """Where a column stands."""
    first = name.partition(".")[0]
    return (ORDER.index(first) if first in ORDER else len(ORDER)), name
