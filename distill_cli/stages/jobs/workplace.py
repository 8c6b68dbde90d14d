"""What every job needs from a plan: the machine, loaders, models, and advice when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from distill_cli.artifacts.store import Place, verified
from distill_cli.config.schema import Training
from distill_cli.data.loader import Loader
from distill_cli.data.splits import Split
from distill_cli.data.views.views import open_views
from distill_cli.errors import ResourceError
from distill_cli.models.artifact import WEIGHTS
from distill_cli.models.build import build_model
from distill_cli.models.cost import count_layers, count_macs
from distill_cli.models.penultimate import Penultimate
from distill_cli.models.weights import load_weights
from distill_cli.plan import Plan
from distill_cli.runtime.device import Runtime, Work, resolve
from distill_cli.soft_labels.encodings import open_encoding
from distill_cli.soft_labels.reader import LabelReader
from distill_cli.training.loop import steps_per_epoch
from distill_cli.training.teacher_sources import CachedTeacher, OnlineTeacher, TeacherSource


def open_runtime(plan: Plan, work: Work | None = None) -> Runtime:
    """Raises `ConfigError` where this machine has not what is asked for."""
    return resolve(plan.config.device, plan.config.precision, plan.config.compile, work)


def runtime_for(plan: Plan, model: nn.Module, batch_size: int) -> Runtime:
    """How this machine runs a model forward."""
    return open_runtime(plan, replace(_work(plan, model), batch=batch_size))


def training_runtime(plan: Plan, model: nn.Module, recipe: Training) -> Runtime:
    """How this machine trains a model."""
    steps = recipe.epochs * steps_per_epoch(len(plan.data.train), recipe.batch_size)
    work = replace(_work(plan, model), steps=steps, batch=recipe.batch_size, parts=recipe.accumulation)
    return open_runtime(plan, work)


def _work(plan: Plan, model: nn.Module) -> Work:
    return Work(count_macs(model, plan.data.image_shape), count_layers(model))


def new_model(plan: Plan, spec: Mapping[str, Any], seed: int, *, pretrained: bool = True) -> nn.Module:
    """A model for this data set before training; `pretrained` False where its weights are replaced anyway."""
    classes, shape = len(plan.data.classes), plan.data.image_shape
    return build_model(spec, num_classes=classes, image_shape=shape, seed=seed, pretrained=pretrained)


def trained_model(
    plan: Plan, spec: Mapping[str, Any], place: Place, batch_size: int
) -> tuple[nn.Module, Runtime]:
    """A model with the weights of an artefact, on the device, in eval mode; and how this machine runs it."""
    model = new_model(plan, spec, seed=0, pretrained=False)
    runtime = runtime_for(plan, model, batch_size)
    load_weights(model, verified(place.directory, WEIGHTS))
    return runtime.place(model).eval(), runtime


def teacher_source(plan: Plan, device: torch.device, views: int | None = None) -> TeacherSource:
    """The teacher itself, or its rows; with `views` those of so many views of a sample alone."""
    config, spec = plan.config, plan.config.soft_labels
    if plan.teacher_is_online:
        teacher, runtime = trained_model(plan, config.teacher.model, plan.teacher, config.student.batch_size)
        return OnlineTeacher(teacher, runtime, Penultimate(teacher) if spec["embedding"] else None)
    labels = plan.labels if views is None else replace(plan.labels, views=views)
    encoding, resident = open_encoding(spec, len(plan.data.classes)), str(spec["resident"]).lower()
    return CachedTeacher(LabelReader(labels, encoding, device, resident, config.trainer.resident_bytes))


def train_loader(plan: Plan, views: Mapping[str, Any], runtime: Runtime) -> Loader:
    return _loader(plan, plan.data.train, runtime, views)


def clean_loader(plan: Plan, split: Split, runtime: Runtime) -> Loader:
    return _loader(plan, split, runtime, None)


def _loader(plan: Plan, split: Split, runtime: Runtime, views: Mapping[str, Any] | None) -> Loader:
    trainer = plan.config.trainer
    return Loader(
        split,
        plan.data,
        runtime.device,
        None if views is None else open_views(views, plan.data.image_shape[1:]),
        resident_bytes=trainer.resident_bytes,
        workers=trainer.workers,
        memory_format=runtime.memory_format,
    )


@contextmanager
def memory_advice(setting: str) -> Iterator[None]:
    """Turn running out of memory into a line that says which setting to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ResourceError(f"out of memory; lower {setting}") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise ResourceError(f"out of memory; lower {setting}") from error
