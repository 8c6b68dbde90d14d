"""Making every part once before the first is trained, so that a mistake in the last costs seconds, not hours."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import Module

from distill_cli.config.schema import Training
from distill_cli.config.targets import instantiate
from distill_cli.data.views.views import open_views
from distill_cli.errors import ConfigError
from distill_cli.models.cost import count_parameters
from distill_cli.models.penultimate import classifier_of
from distill_cli.models.reused_classifier import wrapped
from distill_cli.models.weights import load_weights
from distill_cli.plan import Plan
from distill_cli.runtime.console import say
from distill_cli.schedules import values_of
from distill_cli.soft_labels.encodings import open_encoding
from distill_cli.soft_labels.rows import as_bytes
from distill_cli.stages.jobs.former import begun, open_former
from distill_cli.stages.jobs.objective import INSIDE, Losses
from distill_cli.stages.jobs.trial import try_out
from distill_cli.stages.jobs.workplace import new_model, open_runtime
from distill_cli.training.optimizers import build_optimizer


def rehearse(plan: Plan) -> None:
    """Raises `ConfigError` for whatever a stage of this plan would refuse to be made of."""
    open_runtime(plan)
    teachers = rehearse_teachers(plan.first)
    students = [count_parameters(_rehearsed(plan, link.config.student)) for link in plan.links]
    _check_sizes(plan, teachers, students)
    for views in (plan.config.views, plan.teacher_views):
        open_views(views, plan.data.image_shape[1:])
    if plan.distils:
        for peer in plan.peers:
            new_model(plan, peer, seed=0, pretrained=False)
        for link in plan.links:
            rehearse_loss(link)
    else:
        _student(plan)


def rehearse_teachers(plan: Plan) -> int:
    """The parameters of all of them together. Raises `ArtifactError` for a checkpoint that fits none."""
    parameters = 0
    for member in plan.members:
        model = _rehearsed(plan, member.config.teacher)
        parameters += count_parameters(model)
        if member.checkpoint is not None:
            load_weights(model, member.checkpoint.verified())
    return parameters


@torch.no_grad()
def rehearse_loss(plan: Plan) -> None:
    """Try the losses on what the teacher source will give them, at both ends of the temperature's way."""
    teacher_filter = (
        instantiate(plan.config.teacher_filter, "teacher_filter") if plan.config.teacher_filter else None
    )
    teacher = _teacher(plan).eval() if plan.needs & INSIDE else None
    losses = Losses.fitted(plan, _student(plan), teacher, open_former(plan, on_host=True))
    student, said = losses.example
    if plan.reads_labels:
        encoding = open_encoding(plan.config.soft_labels, said.logits.shape[1])
        stored = encoding.decode(as_bytes(encoding.encode(said.logits)))
        said = replace(said, dense=stored.dense, top=stored.top)
    temperatures = values_of(instantiate(plan.config.temperature_schedule, "temperature_schedule"))
    empty, labels = torch.zeros(2, *plan.data.image_shape), torch.zeros(2, dtype=torch.long)
    for temperature in (min(temperatures), max(temperatures)):
        at = temperature if losses.learned is None else losses.learned(student, said, 0.0)
        for term in losses.terms:
            if teacher_filter is not None:
                teacher_filter.check(term)
            try_out(term, student, said, labels, at, empty)


def _teacher(plan: Plan) -> Module:
    """One before its training; it may be a student itself."""
    if plan.taught_by is not None:
        return _student(plan.taught_by)
    return new_model(plan, plan.config.teacher.model, seed=0, pretrained=False)


def _student(plan: Plan) -> Module:
    """One before its training; it may end in the classifier of its teacher, who has it from the first of all."""
    spec = plan.config.student.model
    if plan.reuses_classifier:
        classifier = classifier_of(_teacher(plan.first))
        if classifier is None:
            raise ConfigError(f"loss={plan.config.loss.get('name')}: the teacher has no linear classifier")
        return new_model(plan, wrapped(spec, classifier.in_features), seed=0, pretrained=False)
    return begun(plan) if plan.former else new_model(plan, spec, seed=0, pretrained=False)


def _rehearsed(plan: Plan, recipe: Training) -> Module:
    """A model that can be made, and optimized as the recipe says."""
    model = new_model(plan, recipe.model, recipe.seed, pretrained=False)
    build_optimizer(recipe.optimizer, model, decay_norm_and_bias=recipe.decay_norm_and_bias)
    return model


def _check_sizes(plan: Plan, teacher: int, students: list[int]) -> None:
    """An assistant stands between teacher and student. One that is too small may be what a user wants to try."""
    assistants = plan.links[: -plan.config.generations]
    for link, size, pupil in zip(assistants, students, students[1:], strict=False):
        if size > teacher:
            raise ConfigError(
                f"{link.role} has {size:,} parameters, the teacher {teacher:,}; choose a smaller one"
            )
        if size < pupil:
            say(
                f"{link.role} has {size:,} parameters and will teach a model of {pupil:,}: usual is one in between"
            )
