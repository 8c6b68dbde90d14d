"""Making every part once before the first is trained, so that a mistake in the last costs seconds, not hours."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import Module

from distill_cli.config.schema import Training
from distill_cli.config.targets import instantiate
from distill_cli.data.views.views import open_views
from distill_cli.losses.outputs import Outputs
from distill_cli.models.penultimate import Penultimate
from distill_cli.plan import Plan
from distill_cli.schedules import values_of
from distill_cli.soft_labels.encodings import open_encoding
from distill_cli.soft_labels.rows import as_bytes
from distill_cli.stages.jobs.workplace import new_model, open_runtime
from distill_cli.training.optimizers import build_optimizer


def rehearse(plan: Plan) -> None:
    """Raises `ConfigError` for whatever a stage of this plan would refuse to be made of."""
    config = plan.config
    open_runtime(plan)
    for recipe in (config.teacher, config.student):
        _optimizer(recipe, new_model(plan, recipe.model, recipe.seed, pretrained=False))
    for views in (config.views, plan.teacher_views):
        open_views(views, plan.data.image_shape[1:])
    if plan.distils:
        rehearse_loss(plan)


def rehearse_loss(plan: Plan) -> None:
    """Try the loss on what the teacher source will give it, at both ends of the temperature's way."""
    config, logits = plan.config, torch.zeros(2, len(plan.data.classes))
    temperatures = values_of(instantiate(config.temperature_schedule))
    loss, encoding = instantiate(config.loss), open_encoding(config.soft_labels, logits.shape[1])
    teacher = (
        Outputs(logits) if plan.teacher_is_online else encoding.decode(as_bytes(encoding.encode(logits)))
    )
    if config.soft_labels["embedding"]:
        model = new_model(plan, config.teacher.model, seed=0, pretrained=False)
        teacher = replace(teacher, embedding=torch.zeros(2, Penultimate(model).width))
    for temperature in (min(temperatures), max(temperatures)):
        loss(Outputs(logits), teacher, torch.zeros(2, dtype=torch.long), temperature)


def _optimizer(recipe: Training, model: Module) -> None:
    build_optimizer(recipe.optimizer, model, decay_norm_and_bias=recipe.decay_norm_and_bias)
