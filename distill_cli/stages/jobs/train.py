"""Training a teacher, a student or a baseline, and bringing in a teacher that is trained already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from distill_cli.artifacts.files import write_bytes, write_json
from distill_cli.artifacts.store import CHECKPOINT, Place
from distill_cli.config.loss_terms import terms_of
from distill_cli.config.schema import Spec, Training
from distill_cli.config.targets import instantiate
from distill_cli.data.loader import Loader
from distill_cli.evaluation.metrics import predict_all, scores
from distill_cli.models.artifact import WEIGHTS, peer_weights
from distill_cli.models.cost import count_parameters
from distill_cli.models.peers import trained_together
from distill_cli.models.weights import load_weights, weights_bytes
from distill_cli.plan import Plan
from distill_cli.runtime.console import say, track
from distill_cli.runtime.device import Runtime
from distill_cli.runtime.signals import graceful
from distill_cli.stages.ensure import Built
from distill_cli.stages.jobs.former import begun, going_on, new_student
from distill_cli.stages.jobs.objective import INSIDE, distillation
from distill_cli.stages.jobs.peers import mutual, with_peers
from distill_cli.stages.jobs.rehearse import rehearse_loss
from distill_cli.stages.jobs.workplace import (
    clean_loader,
    memory_advice,
    new_model,
    open_runtime,
    published_teacher,
    runtime_for,
    train_loader,
    training_runtime,
)
from distill_cli.training.loop import OnEpoch, Record, Trainer, TrainingRun, unfollowed
from distill_cli.training.objectives import CrossEntropy, Objective
from distill_cli.training.unseen_taps import zero_unseen_taps

HISTORY = "history.json"  # one record an epoch


def train_teacher(plan: Plan, on_epoch: OnEpoch = unfollowed) -> Built:
    recipe = plan.config.teacher
    model = new_model(plan, recipe.model, recipe.seed)
    objective = CrossEntropy(recipe.label_smoothing)
    pupil = Pupil("teacher", plan.teacher, recipe, recipe.model, model, plan.teacher_views)
    return _train(plan, pupil, objective, on_epoch)


def train_baseline(plan: Plan, on_epoch: OnEpoch = unfollowed) -> Built:
    recipe, model = plan.config.student, begun(plan)
    objective = CrossEntropy(recipe.label_smoothing)
    pupil = Pupil("baseline", plan.baseline, recipe, recipe.model, model, plan.config.views)
    return _train(plan, pupil, objective, on_epoch)


def train_student(plan: Plan, on_epoch: OnEpoch = unfollowed) -> Built:
    rehearse_loss(plan)
    _tell_of_views(plan)
    recipe, device = plan.config.student, open_runtime(plan).device
    spec, model = new_student(plan)
    pupil = Pupil("student", plan.student, recipe, spec, model, plan.config.views)
    if plan.peers:
        together = with_peers(plan, model)
        return _train(plan, replace(pupil, model=together), mutual(plan, together, device), on_epoch)
    return _train(plan, pupil, distillation(plan, model, device), on_epoch)


def _tell_of_views(plan: Plan) -> None:
    """Where a loss wants more of them in a step than there are."""
    wanted = max(term.views for term in terms_of(plan.config.loss))
    if plan.views_per_sample < wanted:
        name = plan.config.loss.get("name")
        say(f"loss={name} wants {wanted} views of a sample in a step; there is one: set views.count=8")


def import_teacher(plan: Plan) -> Built:
    """A teacher artefact out of `teacher.checkpoint`. Nothing is trained."""
    config, checkpoint = plan.config.teacher, plan.checkpoint
    if checkpoint is None:
        model = published_teacher(plan)
    else:
        model = new_model(plan, config.model, config.seed, pretrained=False)
        load_weights(model, checkpoint.verified(), "; a teacher must know them all")
    runtime = runtime_for(plan, model, plan.config.evaluate.batch_size)
    return _keep(plan, plan.teacher, config.model, runtime.place(model).eval(), [], runtime, resumed=False)


@dataclass(frozen=True)
class Pupil:
    """A model that is to be trained."""

    role: str  # teacher, student or baseline
    place: Place
    recipe: Training
    spec: Spec  # its architecture, as its artefact will say it
    model: nn.Module  # on the host; a student's peers are in it
    views: Spec


def _train(plan: Plan, pupil: Pupil, objective: Objective, on_epoch: OnEpoch) -> Built:
    recipe, model, place = pupil.recipe, pupil.model, pupil.place
    setting = "teacher" if pupil.role == "teacher" else "student"
    with memory_advice(f"{setting}.batch_size, or raise {setting}.accumulation"):
        members, views = trained_together(model), objective.views_per_sample
        only = None if pupil.role == "teacher" or plan.transfer.is_whole else plan.transfer.index
        samples = len(plan.data.train if only is None else only)
        runtime = training_runtime(plan, members[0], recipe, samples, passes=len(members) * views)
        if pupil.role == "student" and plan.needs & INSIDE:
            runtime = replace(runtime, compile=False, graphs=False)  # hooks are Python
        if runtime.device.type == "cpu" and runtime.dtype != torch.float32:
            for member in members:
                zero_unseen_taps(member, plan.data.image_shape)
        trainer = Trainer(
            TrainingRun(
                recipe=recipe,
                model=model,
                objective=objective,
                lr_schedule=instantiate(recipe.lr_schedule),
                loader=train_loader(plan, pupil.views, runtime, only),
                validate=_Validation(plan, runtime),
                runtime=runtime,
                key=place.key,
                checkpoint=place.work / CHECKPOINT,
                checkpoint_every=plan.config.trainer.checkpoint_every,
                on_epoch=on_epoch,
            )
        )
        resumed = trainer.resume()
        if plan.former is not None and pupil.role != "teacher":
            say(f"{_called(pupil, plan)} {going_on(plan)}")
        say(_announcement(pupil, plan, trainer, resumed))
        with (
            graceful() as stop,
            track(_called(pupil, plan), trainer.progress.total_steps, "steps", trainer.step) as tracker,
        ):
            model = trainer.train(stop, tracker)
        model, *peers = trained_together(model)
        return _keep(plan, place, pupil.spec, model, trainer.history, runtime, resumed, peers)


def _announcement(pupil: Pupil, plan: Plan, trainer: Trainer, resumed: bool) -> str:
    """One line: what is trained, how much, and what `auto` came to."""
    recipe = trainer.recipe
    start = f", resumed in epoch {trainer.epoch + 1}" if resumed else ""
    views = f" in {views} views a step" if (views := trainer.run.objective.views_per_sample) > 1 else ""
    size = f"{count_parameters(trainer.model):,} parameters"
    loader = trainer.run.loader
    samples = f"{loader.size:,}" + (f" of {loader.samples:,}" if loader.size < loader.samples else "")
    return (
        f"{_called(pupil, plan)}: {_names(pupil, plan)}, {size}, "
        f"{samples} samples{views} × {recipe.epochs} epochs on {trainer.run.runtime}{start}"
    )


def _names(pupil: Pupil, plan: Plan) -> str:
    """Of the architectures that are trained."""
    specs = [pupil.recipe.model, *(plan.peers if pupil.role == "student" else ())]
    return " and ".join(str(spec.get("name", "model")) for spec in specs)


def _called(pupil: Pupil, plan: Plan) -> str:
    return plan.role if pupil.role == "student" else pupil.role


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


def _measured(plan: Plan, model: nn.Module, runtime: Runtime) -> Record:
    """A trained model's figures on what it has not seen."""
    settings, loader = plan.config.evaluate, clean_loader(plan, plan.data.test, runtime)
    found = scores(predict_all(model, loader, runtime, settings.batch_size), settings.ece_bins)
    return {**_Validation(plan, runtime)(model), "test_top1": found["top1"]}


def _keep(
    plan: Plan,
    place: Place,
    spec: Mapping[str, Any],
    model: nn.Module,
    history: list[Record],
    runtime: Runtime,
    resumed: bool,
    peers: Sequence[nn.Module] = (),
) -> Built:
    """Write weights and history into the working directory, and measure what was made."""
    write_bytes(place.work / WEIGHTS, weights_bytes(model))
    write_json(place.work / HISTORY, history)
    data = plan.data
    of_peers: Record = {}
    for number, peer in enumerate(peers, 1):
        write_bytes(place.work / peer_weights(number), weights_bytes(peer))
        of_peers |= {f"peer_{number}_{name}": v for name, v in _measured(plan, peer, runtime).items()}
    metrics = {
        **_measured(plan, model, runtime),
        "parameters": count_parameters(model),
        **({"train_loss": history[-1]["loss"]} if history else {}),
        **of_peers,
    }
    preprocessing = {"mean": data.mean, "std": data.std, "image_shape": data.image_shape}
    content: dict[str, Any] = {
        "model": dict(spec),
        **({"peers": [dict(peer) for peer in plan.peers]} if peers else {}),
        "data": {
            "name": data.name,
            "classes": list(data.classes),
            **preprocessing,
            **({"skipped": plan.skipped} if plan.skipped else {}),
        },
        "metrics": metrics,
    }
    return Built(content, runtime.describe(), resumed)
