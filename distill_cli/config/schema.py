"""The typed shape of the composed config. Hydra checks names and types against it, `__post_init__` the values.

What can be chosen freely (a model, a loss, a schedule) is a *spec*: a mapping with a `_target_`, checked
when it is instantiated. Everything else has a field here. No field has a default: those live in `conf/`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from distill_cli.config.gates import Gates
from distill_cli.config.nearest import nearest
from distill_cli.config.published import refuse_files
from distill_cli.config.rules import require as require
from distill_cli.config.transfer import Transfer

Spec = dict[str, Any]
MOST_SEEDS = 2**63  # torch takes no larger one
EXPORT_FORMATS = ("onnx", "torch_export", "hub")
NAME = re.compile(r"[\w.+-]{0,60}")  # it becomes a part of file names


@dataclass
class Training:
    """How one model is built and trained: the same fields for teacher and student."""

    model: Spec
    seed: int
    epochs: int
    batch_size: int
    accumulation: int
    optimizer: Spec
    lr_schedule: Spec
    decay_norm_and_bias: bool
    label_smoothing: float
    l1: float
    clip_norm: float | None
    max_norm: float | None
    ema: float | None
    validate_every: int

    def check(self, role: str) -> None:
        def at_least(minimum: float, *fields: str) -> None:
            for field in fields:
                value = getattr(self, field)
                require(value >= minimum, f"{role}.{field}", value, f"must be at least {minimum:g}")

        at_least(1, "epochs", "batch_size", "accumulation", "validate_every")
        at_least(0, "l1")
        require(0 <= self.seed < MOST_SEEDS, f"{role}.seed", self.seed, "must be in [0, 2^63)")
        lr, ema = self.optimizer.get("lr"), self.ema
        is_rate = isinstance(lr, int | float) and math.isfinite(lr) and lr > 0
        require(is_rate, f"{role}.optimizer.lr", lr, "must be a number above 0")
        require(
            0 <= self.label_smoothing < 1,
            f"{role}.label_smoothing",
            self.label_smoothing,
            "must be in [0, 1)",
        )
        for field in ("clip_norm", "max_norm"):
            limit = getattr(self, field)
            is_limit = limit is None or (math.isfinite(limit) and limit > 0)
            require(is_limit, f"{role}.{field}", limit, "must be a number above 0, or null for none")
        require(ema is None or 0 < ema < 1, f"{role}.ema", ema, "must be in (0, 1), or null for none")
        require(
            self.accumulation <= max(1, self.batch_size // 2),
            f"{role}.accumulation",
            self.accumulation,
            f"cannot cut a batch of {self.batch_size} into that many parts of two or more",
        )


@dataclass
class TeacherTraining(Training):
    checkpoint: Any  # a path or null; of several teachers a list
    average: str  # of several teachers
    weights: Any  # theirs; a list or null
    views: Spec | None = None

    def check(self, role: str) -> None:
        super().check(role)
        of = ("logits", "probabilities")
        require(self.average in of, "teacher.average", self.average, f"must be one of {', '.join(of)}")


@dataclass
class StudentTraining(Training):
    init: str | None  # a student to go on from


@dataclass
class Trainer:
    """How a run is carried out: nothing here changes a result, so none of it is in a key."""

    checkpoint_every: float
    workers: int | None
    resident_bytes: float


@dataclass
class Evaluate:
    """What the report measures."""

    batch_size: int
    ece_bins: int
    latency: bool
    pictures: int
    diagnosis: int
    bias: Any  # a number for each class that is named, or `fit`; or null


@dataclass
class Export:
    """What `distill export` writes; no other verb reads it."""

    format: str
    output: str | None
    samples: int
    tolerance: float

    def __post_init__(self) -> None:
        near = nearest(self.format, EXPORT_FORMATS)
        remedy = f"did you mean {near}?" if near else f"must be one of {', '.join(EXPORT_FORMATS)}"
        require(self.format in EXPORT_FORMATS, "export.format", self.format, remedy)
        require(self.output != "", "export.output", "", "must name a directory, or be null")
        require(self.samples >= 1, "export.samples", self.samples, "must be at least 1")
        is_tolerance = math.isfinite(self.tolerance) and self.tolerance > 0
        require(is_tolerance, "export.tolerance", f"{self.tolerance:g}", "must be a number above 0")


@dataclass
class Paths:
    data: str
    artifacts: str
    outputs: str


@dataclass
class Config:
    """One config for every verb."""

    data: Spec
    teacher: TeacherTraining
    student: StudentTraining
    views: Spec
    soft_labels: Spec
    loss: Spec
    temperature: float
    alpha: float
    temperature_schedule: Spec
    alpha_schedule: Spec
    teacher_source: str
    generations: int
    seed: int
    device: str
    precision: str
    compile: str
    trainer: Trainer
    transfer: Transfer
    evaluate: Evaluate
    gates: Gates
    logger: Spec
    lock: str | None
    export: Export
    paths: Paths
    assistant: Spec | None = None
    peers: Spec | None = None
    teacher_filter: Spec | None = None

    def __post_init__(self) -> None:
        is_temperature = math.isfinite(self.temperature) and 0 < self.temperature <= 1e4
        require(is_temperature, "temperature", f"{self.temperature:g}", "must be above 0 (1 to 20 is usual)")
        require(
            0 <= self.alpha <= 1, "alpha", f"{self.alpha:g}", "must be in [0, 1]: the weight of the soft loss"
        )
        require(0 <= self.seed < MOST_SEEDS, "seed", self.seed, "must be in [0, 2^63)")
        require(1 <= self.generations <= 100, "generations", self.generations, "must be in 1 .. 100")
        self._one_of("teacher_source", "auto", "cached", "online")
        self._one_of("precision", "auto", "fp32", "bf16", "fp16")
        self.compile = self.compile.lower()
        self._one_of("compile", "auto", "true", "false")
        for key, spec in self._named().items():
            name = spec.get("name", "")
            require(bool(NAME.fullmatch(str(name))), f"{key}.name", name, "letters, digits, . _ + and - only")
        refuse_files({"assistant": self.assistant, "peers": self.peers})
        refuse_files({"teacher": {"model": self.teacher.model}, "student": {"model": self.student.model}})
        self.teacher.check("teacher")
        self.student.check("student")
        self._check_views("views", self.views)
        if self.teacher.views is not None:
            self._check_views("teacher.views", self.teacher.views)
        self._check_soft_labels()
        require(
            self.evaluate.batch_size >= 1,
            "evaluate.batch_size",
            self.evaluate.batch_size,
            "must be at least 1",
        )
        require(
            self.evaluate.ece_bins >= 1, "evaluate.ece_bins", self.evaluate.ece_bins, "must be at least 1"
        )
        for field in ("pictures", "diagnosis"):
            value = getattr(self.evaluate, field)
            require(value >= 0, f"evaluate.{field}", value, "must be 0 or more")
        self.gates.check()
        trainer = self.trainer
        are_workers = trainer.workers is None or trainer.workers >= 0
        require(are_workers, "trainer.workers", trainer.workers, "must be 0 or more, or null")
        for field in ("checkpoint_every", "resident_bytes"):
            require(
                getattr(trainer, field) >= 0, f"trainer.{field}", getattr(trainer, field), "must be 0 or more"
            )

    def _named(self) -> dict[str, Spec]:
        """What artefacts are called after."""
        return {
            "data": self.data,
            "teacher.model": self.teacher.model,
            "student.model": self.student.model,
            "views": self.views,
            "loss": self.loss,
        }

    def _one_of(self, field: str, *allowed: str) -> None:
        value = getattr(self, field)
        require(value in allowed, field, value, f"must be one of {', '.join(allowed)}")

    def _check_soft_labels(self) -> None:
        spec = self.soft_labels
        for field in ("block", "batch_size"):
            value = spec.get(field)
            require(type(value) is int and value >= 1, f"soft_labels.{field}", value, "must be at least 1")
        resident, error, embedding = (spec.get(key) for key in ("resident", "allow_error", "embedding"))
        is_resident = str(resident).lower() in ("auto", "true", "false")
        require(is_resident, "soft_labels.resident", resident, "must be auto, true or false")
        is_error = isinstance(error, int | float) and error >= 0
        require(is_error, "soft_labels.allow_error", error, "must be a number from 0: 0.1 is 10 %")
        require(type(embedding) is bool, "soft_labels.embedding", embedding, "must be true or false")

    @staticmethod
    def _check_views(key: str, views: Spec) -> None:
        require("count" in views and "seed" in views, key, views.get("name", ""), "needs `count` and `seed`")
        count, seed = views["count"], views["seed"]
        is_count = count is None or (type(count) is int and count >= 1)
        require(is_count, f"{key}.count", count, "must be at least 1, or null for a new view in every epoch")
        is_seed = type(seed) is int and 0 <= seed < MOST_SEEDS
        require(is_seed, f"{key}.seed", seed, "must be a whole number in [0, 2^63)")
