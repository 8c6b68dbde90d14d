"""Training a teacher, a student or a baseline, and bringing in a teacher that is trained already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distill_cli.artifacts.files import write_bytes, write_json
from distill_cli.artifacts.store import CHECKPOINT, Place
from distill_cli.config.schema import Training
from distill_cli.config.targets import instantiate
from distill_cli.data.loader import Loader
from distill_cli.evaluation.metrics import predict_all, scores
from distill_cli.models.artifact import WEIGHTS
from distill_cli.models.cost import count_parameters
from distill_cli.models.weights import load_weights, weights_bytes
from distill_cli.plan import Plan
from distill_cli.runtime.console import say, track
from distill_cli.runtime.device import Runtime
from distill_cli.runtime.signals import graceful
from distill_cli.stages.ensure import Built
from distill_cli.stages.jobs.rehearse import rehearse_loss
from distill_cli.stages.jobs.workplace import (
    clean_loader,
    memory_advice,
    new_model,
    open_runtime,
    runtime_for,
    teacher_source,
    train_loader,
    training_runtime,
)
from distill_cli.training.loop import OnEpoch, Record, Trainer, TrainingRun, unfollowed
from distill_cli.training.objectives import CrossEntropy, Distillation, Objective
from distill_cli.training.unseen_taps import zero_unseen_taps

HISTORY = "history.json"  # one record an epoch


def train_teacher(plan: Plan, on_epoch: OnEpoch = unfollowed) -> Built:
    recipe = plan.config.teacher
    objective = CrossEntropy(recipe.label_smoothing)
    return _train(plan, "teacher", plan.teacher, recipe, plan.teacher_views, objective, on_epoch)


def train_baseline(plan: Plan, on_epoch: OnEpoch = unfollowed) -> Built:
    recipe = plan.config.student
    objective = CrossEntropy(recipe.label_smoothing)
    return _train(plan, "baseline", plan.baseline, recipe, plan.config.views, objective, on_epoch)


def train_student(plan: Plan, on_epoch: OnEpoch = unfollowed) -> Built:
    config = plan.config
    rehearse_loss(plan)
    objective = Distillation(
        hard=CrossEntropy(config.student.label_smoothing),
        soft=instantiate(config.loss),
        teacher=teacher_source(plan, open_runtime(plan).device),
        temperature=instantiate(config.temperature_schedule),
        alpha=instantiate(config.alpha_schedule),
    )
    return _train(plan, "student", plan.student, config.student, config.views, objective, on_epoch)


def import_teacher(plan: Plan) -> Built:
    """A teacher artefact out of `teacher.checkpoint`. Nothing is trained."""
    config = plan.config.teacher
    model = new_model(plan, config.model, config.seed, pretrained=False)
    load_weights(model, Path(str(config.checkpoint)))
    runtime = runtime_for(plan, model, plan.config.evaluate.batch_size)
    return _keep(plan, plan.teacher, config.model, runtime.place(model).eval(), [], runtime, resumed=False)


def _train(
    plan: Plan,
    role: str,
    place: Place,
    recipe: Training,
    views: Mapping[str, Any],
    objective: Objective,
    on_epoch: OnEpoch,
) -> Built:
    setting = "teacher" if role == "teacher" else "student"
    with memory_advice(f"{setting}.batch_size, or raise {setting}.accumulation"):
        model = new_model(plan, recipe.model, recipe.seed)
        runtime = training_runtime(plan, model, recipe)
        if runtime.device.type == "cpu" and runtime.dtype != torch.float32:
            zero_unseen_taps(model, plan.data.image_shape)
        trainer = Trainer(
            TrainingRun(
                recipe=recipe,
                model=model,
                objective=objective,
                lr_schedule=instantiate(recipe.lr_schedule),
                loader=train_loader(plan, views, runtime),
                validate=_Validation(plan, runtime),
                runtime=runtime,
                key=place.key,
                checkpoint=place.work / CHECKPOINT,
                checkpoint_every=plan.config.trainer.checkpoint_every,
                on_epoch=on_epoch,
            )
        )
        resumed = trainer.resume()
        say(_announcement(role, plan, trainer, resumed))
        with graceful() as stop, track(role, trainer.progress.total_steps, "steps", trainer.step) as tracker:
            model = trainer.train(stop, tracker)
        return _keep(plan, place, recipe.model, model, trainer.history, runtime, resumed)


def _announcement(role: str, plan: Plan, trainer: Trainer, resumed: bool) -> str:
    """One line: what is trained, how much, and what `auto` came to."""
    recipe = trainer.recipe
    start = f", resumed in epoch {trainer.epoch + 1}" if resumed else ""
    return (
        f"{role}: {recipe.model.get('name', 'model')}, {count_parameters(trainer.model):,} parameters, "
        f"{len(plan.data.train):,} samples × {recipe.epochs} epochs on {trainer.run.runtime}{start}"
    )


class _Validation:
    """A look at the held-out part of train; nothing where there is none. It opens the part at first use."""

    def __init__(self, plan: Plan, runtime: Runtime) -> None:
        self.plan, self.runtime = plan, runtime
        self.loader: Loader | None = None

    def __call__(self, model: nn.Module) -> Record:
        if not len(self.plan.data.validation):
            return {}
        if self.loader is None:
            self.loader = clean_loader(self.plan, self.plan.data.validation, self.runtime)
        settings = self.plan.config.evaluate
        found = scores(predict_all(model, self.loader, self.runtime, settings.batch_size), settings.ece_bins)
        return {"validation_top1": found["top1"], "validation_nll": found["nll"]}


def _keep(
    plan: Plan,
    place: Place,
    spec: Mapping[str, Any],
    model: nn.Module,
    history: list[Record],
    runtime: Runtime,
    resumed: bool,
) -> Built:
    """Write weights and history into the working directory, and measure what was made."""
    write_bytes(place.work / WEIGHTS, weights_bytes(model))
    write_json(place.work / HISTORY, history)
    data, settings = plan.data, plan.config.evaluate
    predictions = predict_all(model, clean_loader(plan, data.test, runtime), runtime, settings.batch_size)
    metrics = {
        **_Validation(plan, runtime)(model),
        "test_top1": scores(predictions, settings.ece_bins)["top1"],
        "parameters": count_parameters(model),
        **({"train_loss": history[-1]["loss"]} if history else {}),
    }
    preprocessing = {"mean": data.mean, "std": data.std, "image_shape": data.image_shape}
    content = {
        "model": dict(spec),
        "data": {
            "name": data.name,
            "classes": list(data.classes),
            **preprocessing,
            **({"skipped": plan.skipped} if plan.skipped else {}),
        },
        "metrics": metrics,
    }
    return Built(content, runtime.describe(), resumed)
