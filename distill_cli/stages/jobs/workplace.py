"""What every job needs from a plan: the machine, loaders, models, and advice when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from distill_cli.artifacts.given_weights import refuse_other_normalisation
from distill_cli.artifacts.store import Place, verified
from distill_cli.config.published import AS_PUBLISHED
from distill_cli.config.schema import Spec, Training
from distill_cli.data.loader import Loader
from distill_cli.data.splits import Split
from distill_cli.data.views.views import Integers, open_views
from distill_cli.errors import ResourceError
from distill_cli.losses.averaging import Average
from distill_cli.models.artifact import WEIGHTS, with_reused_classifier
from distill_cli.models.build import build_model, published_model
from distill_cli.models.cost import count_layers, count_macs
from distill_cli.models.pretrained import normalisation
from distill_cli.models.weights import load_weights
from distill_cli.plan import Plan
from distill_cli.runtime.device import Runtime, Work, resolve
from distill_cli.soft_labels.encodings import open_encoding
from distill_cli.soft_labels.reader import LabelReader
from distill_cli.training.insights import Insights
from distill_cli.training.loop import steps_per_epoch
from distill_cli.training.teacher_sources import (
    CachedTeacher,
    Ensemble,
    NoTeacher,
    OnlineTeacher,
    TeacherSource,
)


def open_runtime(plan: Plan, work: Work | None = None) -> Runtime:
    """Raises `ConfigError` where this machine has not what is asked for."""
    return resolve(plan.config.device, plan.config.precision, plan.config.compile, work)


def runtime_for(plan: Plan, model: nn.Module, batch_size: int) -> Runtime:
    """How this machine runs a model forward."""
    return open_runtime(plan, replace(_work(plan, model), batch=batch_size))


def training_runtime(
    plan: Plan, model: nn.Module, recipe: Training, samples: int, passes: int = 1
) -> Runtime:
    """How this machine trains a model. `passes`: of a sample in a step, in all its views, through all peers."""
    steps = recipe.epochs * steps_per_epoch(samples, recipe.batch_size)
    pictures = recipe.batch_size * passes
    work = replace(_work(plan, model), steps=steps, batch=pictures, parts=recipe.accumulation)
    return open_runtime(plan, work)


def _work(plan: Plan, model: nn.Module) -> Work:
    return Work(count_macs(model, plan.data.image_shape), count_layers(model))


def new_model(plan: Plan, spec: Mapping[str, Any], seed: int, *, pretrained: bool = True) -> nn.Module:
    """A model for this data set before training; `pretrained` False where its weights are replaced anyway."""
    classes, shape = len(plan.data.classes), plan.data.image_shape
    return build_model(spec, num_classes=classes, image_shape=shape, seed=seed, pretrained=pretrained)


def published_teacher(plan: Plan) -> nn.Module:
    """The teacher with the weights that its spec names. Raises `ConfigError` where they are for other pictures."""
    spec, data = plan.config.teacher.model, plan.data
    model = published_model(spec, num_classes=len(data.classes), image_shape=data.image_shape)
    seen = normalisation(spec, model)
    if seen is not None:
        refuse_other_normalisation(f"teacher.checkpoint={AS_PUBLISHED}", seen, plan.preprocessing)
    return model


def trained_model(
    plan: Plan, spec: Mapping[str, Any], place: Place, batch_size: int
) -> tuple[nn.Module, Runtime]:
    """A model with the weights of an artefact, on the device, in eval mode; and how this machine runs it."""
    model = new_model(plan, spec, seed=0, pretrained=False)
    runtime = runtime_for(plan, model, batch_size)
    load_weights(model, verified(place.directory, WEIGHTS))
    return runtime.place(model).eval(), runtime


def trained_teacher(plan: Plan) -> tuple[nn.Module, Runtime]:
    """The one teacher of a student, on the device, in eval mode."""
    return trained_model(plan, teacher_spec(plan), plan.teacher, plan.config.student.batch_size)


def teacher_spec(plan: Plan) -> Spec:
    """The architecture of the teacher; as it was trained, where it was a student itself."""
    return plan.config.teacher.model if plan.taught_by is None else student_spec(plan.taught_by)


def student_spec(plan: Plan) -> Spec:
    """The architecture of the student as it was trained: it may end in its teacher's classifier."""
    model = plan.config.student.model
    return with_reused_classifier(model, plan.student.directory) if plan.reuses_classifier else model


def teacher_source(
    plan: Plan,
    device: torch.device,
    views: int | None = None,
    opened: tuple[nn.Module, Runtime] | None = None,
    insights: Insights | None = None,
) -> TeacherSource:
    """The teachers themselves, or their rows; with `views` those of so many views of a sample alone.

    `opened` and `insights`: the teacher, where it is at hand already, and what is caught of it.
    """
    if not plan.is_taught:
        return NoTeacher()
    if plan.teacher_is_online:
        found = [opened] if opened else [trained_teacher(member) for member in plan.members]
        sources: list[TeacherSource] = [OnlineTeacher(*one, insights) for one in found]
    else:
        sources = [_cached_teacher(member, device, views) for member in plan.members]
    return sources[0] if len(sources) == 1 else Ensemble(tuple(sources), Average(*plan.average))


def _cached_teacher(plan: Plan, device: torch.device, views: int | None) -> CachedTeacher:
    spec = plan.config.soft_labels
    labels = plan.labels if views is None else replace(plan.labels, views=views)
    encoding, resident = open_encoding(spec, len(plan.data.classes)), str(spec["resident"]).lower()
    return CachedTeacher(LabelReader(labels, encoding, device, resident, plan.config.trainer.resident_bytes))


def train_loader(
    plan: Plan, views: Mapping[str, Any], runtime: Runtime, only: Integers | None = None
) -> Loader:
    """All of train; or the samples with these numbers."""
    return _loader(plan, plan.data.train, runtime, views, only)


def clean_loader(plan: Plan, split: Split, runtime: Runtime) -> Loader:
    return _loader(plan, split, runtime, None)


def _loader(
    plan: Plan,
    split: Split,
    runtime: Runtime,
    views: Mapping[str, Any] | None,
    only: Integers | None = None,
) -> Loader:
    trainer = plan.config.trainer
    return Loader(
        split,
        plan.data,
        runtime.device,
        None if views is None else open_views(views, plan.data.image_shape[1:]),
        only=only,
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
