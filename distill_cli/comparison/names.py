"""What stands in an identity, under the names that a user types.

The tables are all there is to it: the longest path that fits gives the name, and the rest of the path follows
(`recipe.optimizer.lr` is `student.optimizer.lr`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from distill_cli.config.loss_terms import TERMS

PEERS = "distillation.peers"  # a list of models
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
    "distillation.average": "teacher.average",
    "distillation.weights": "teacher.weights",
    "distillation.filter": "teacher_filter",
    PEERS: "peers",
}
OF_THE_GONE = {"soft_labels": "soft_labels", "teachers": "teacher"}  # by kind
NONE = "none"
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
    "students": (
        "stage",
        "seed",
        "transfer",
        "init.classes",
        "distillation.soft_labels",
        "distillation.teacher",
    ),
    "soft_labels": ("stage", "teacher", "views", "data", "precision"),
    "teachers": ("stage", "data", "precision", "classes", "mean", "std", "image_shape"),
}
IN_ONE_CELL = (
    "model",
    "distillation.loss",
    "distillation.filter",
)  # other specs have a column for each argument
DIGESTS = ("data", "checkpoint", "init.weights")  # shown by their first digits

# The order of the columns, by the first word of their names.
ORDER = (
    "student",
    "loss",
    "temperature",
    "temperature_schedule",
    "alpha",
    "alpha_schedule",
    "transfer",
    "views",
    "soft_labels",
    "teacher_source",
    "teacher",
    "teacher_filter",
    "assistant",
    "generations",
    "peers",
)

# YAMLs whose name is not that of the class in small letters.
WORDS = {
    "NoAugmentation": "none",
    "CutMix": "cutmix",
    "TopK": "top_k",
    "TeacherFilter": "downweight",
    "teacher_free": "tf_kd",
}
# YAMLs of one class: the argument that tells another from the first.
SHARED: Mapping[str, tuple[str, Mapping[Any, str]]] = {
    "downweight": ("weight", {0.0: "drop"}),
    "learned": ("per_sample", {True: "learned_per_sample"}),
    "similarity_preserving": ("of", {"embedding": "similarity_preserving_embedding"}),
    "ttm": ("weighted", {True: "wttm"}),
}
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
    """What a user types to choose a spec: `shift`, `kd+dist`, `cosine`. A loss is called after its module."""
    target = str(spec.get("_target_", ""))
    if not target:
        return "+".join(sorted(spec.get(TERMS, {}))) or NONE
    if target in NAMED_BY:
        return str(spec.get(NAMED_BY[target]))
    module, _, name = target.rpartition(".")
    own = module.rpartition(".")[2] if ".losses." in target else name.removesuffix("Rate")
    word = WORDS.get(own) or re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", own).lower()
    argument, words = SHARED.get(word, ("", {}))
    return words.get(spec.get(argument), word)


def place_of(name: str) -> tuple[int, str]:
    """Where a column stands."""
    first = name.partition(".")[0]
    return (ORDER.index(first) if first in ORDER else len(ORDER)), name
