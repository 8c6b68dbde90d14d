"""Making every part once before the first is trained, so that a mistake in the last costs seconds, not hours."""

from __future__ import annotations

from torch.nn import Module

from distill_cli.config.schema import Training
from distill_cli.config.targets import instantiate
from distill_cli.data.views.views import open_views
from distill_cli.plan import Plan
from distill_cli.soft_labels.encodings import open_encoding
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
        instantiate(config.loss)
        open_encoding(config.soft_labels)


def _optimizer(recipe: Training, model: Module) -> None:
    build_optimizer(recipe.optimizer, model, decay_norm_and_bias=recipe.decay_norm_and_bias)
