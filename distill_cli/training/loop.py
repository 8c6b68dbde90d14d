"""The one training loop. It trains teachers, baselines and students, and knows none of them apart.

It owns order, steps, learning rate, precision, averaging of weights, checkpoints and stopping; the objective
owns the loss. A run that was stopped and resumed ends with the same weights, bit for bit on a CPU, because
everything that is not in the checkpoint follows from (seed, epoch, step).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from distill_cli.config.schema import Training
from distill_cli.data.batch import Batch
from distill_cli.data.hashing import hash64
from distill_cli.data.loader import Loader
from distill_cli.errors import TrainingDiverged
from distill_cli.losses.outputs import Outputs
from distill_cli.models.peers import trained_together
from distill_cli.progress import Progress
from distill_cli.runtime.console import Tracker
from distill_cli.runtime.device import Runtime
from distill_cli.runtime.signals import StopRequest
from distill_cli.schedules import Schedule
from distill_cli.training.averages import WeightAverage
from distill_cli.training.checkpoints import load_checkpoint, save_checkpoint
from distill_cli.training.max_norm import limit_norms
from distill_cli.training.meter import REMEDY, Meter
from distill_cli.training.objectives import Logs, Objective
from distill_cli.training.optimizers import build_optimizer

ORDER, NOISE = 10, 11  # streams of the hash: order of samples, and torch's generators (dropout)
SETTLE_EVERY = 50  # steps between two looks at the losses; each look waits for the device

Record = dict[str, float]  # one epoch of the history


class OnEpoch(Protocol):
    """Whoever follows a training. `step` is how far it was; `resumed`: an earlier process trained this epoch."""

    def __call__(self, record: Record, step: int, *, resumed: bool = False) -> None: ...


def unfollowed(record: Record, step: int, *, resumed: bool = False) -> None:
    """Nobody does."""


@dataclass(frozen=True)
class TrainingRun:
    """All a training needs."""

    recipe: Training
    model: nn.Module
    objective: Objective
    lr_schedule: Schedule
    loader: Loader
    validate: Callable[[nn.Module], Record]
    runtime: Runtime
    key: str  # of the artefact in the making
    checkpoint: Path
    checkpoint_every: float  # seconds
    on_epoch: OnEpoch = unfollowed


class Trainer:
    """A training run in motion."""

    def __init__(self, run: TrainingRun) -> None:
        self.run, self.recipe = run, run.recipe
        self.model = run.runtime.place(run.model)
        self.forward = run.runtime.compiled(self.model)
        self.parts = run.runtime.place(run.objective.parts)
        trained = nn.ModuleList([self.model, self.parts])
        self.optimizer = build_optimizer(
            self.recipe.optimizer, trained, decay_norm_and_bias=self.recipe.decay_norm_and_bias
        )
        self.parameters = list(trained.parameters())
        each = (
            *trained_together(self.model),
            *self.parts.children(),
        )  # nobody's step depends on another's size
        self.clipped = [list(module.parameters()) for module in each]
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler = run.runtime.scaler()
        self.average = None if self.recipe.ema is None else WeightAverage(self.model, self.recipe.ema)
        self.meter = Meter()
        self.history: list[Record] = []
        self.step = 0
        self.steps_per_epoch = steps_per_epoch(run.loader.size, self.recipe.batch_size)

    def train(self, stop: StopRequest, tracker: Tracker) -> nn.Module:
        """Train to the end of the last epoch, from the checkpoint if there is one.

        Returns the model to keep, in eval mode. Raises `Interrupted` once the state is saved, and
        `TrainingDiverged` where a loss is not finite.
        """
        with self.run.runtime.at_work():
            self._train(stop, tracker)
        return self.kept.eval()

    def _train(self, stop: StopRequest, tracker: Tracker) -> None:
        saved_at = time.monotonic()
        tracker.advance(0, note=_note(self.history, self.epoch, self.recipe.epochs))
        self.model.train()
        self.parts.train()
        for batch in self._batches():
            self._step(batch)
            self._end_of_step(tracker)
            if stop or time.monotonic() - saved_at > self.run.checkpoint_every:
                self.save()
                saved_at = time.monotonic()
                stop.obey()

    @property
    def kept(self) -> nn.Module:
        """The model itself, or the average of its weights."""
        return self.model if self.average is None else self.average.module

    @property
    def epoch(self) -> int:
        return self.step // self.steps_per_epoch

    @property
    def progress(self) -> Progress:
        return Progress(self.step, self.recipe.epochs * self.steps_per_epoch, self.steps_per_epoch)

    def _batches(self) -> Iterator[Batch]:
        """From where training stands to its end."""
        while self.epoch < self.recipe.epochs:
            done = self.step % self.steps_per_epoch
            if done == 0:
                self.run.runtime.seed(int(hash64(self.recipe.seed, NOISE, self.epoch, 0, 1)[0]) >> 1)
            order = sample_order(self.recipe.seed, self.epoch, self.run.loader.size)
            rest = order[done * self.recipe.batch_size : self.steps_per_epoch * self.recipe.batch_size]
            prepare, each = self.run.objective.prepare, self.run.objective.views_per_sample
            yield from self.run.loader.epoch(rest, self.epoch, self.recipe.batch_size, prepare, each)

    def _step(self, batch: Batch) -> None:
        """One optimizer step."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.run.lr_schedule(self.progress)
        for parameter in self.parameters:
            parameter.grad = None
        for part in _cut(batch, self.recipe.accumulation, self.run.objective.views_per_sample):
            self.meter.add(self._backward(part, len(part) / len(batch)), len(part) / len(batch))
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            for parameters in self.clipped:
                nn.utils.clip_grad_norm_(parameters, self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.recipe.max_norm is not None:
            limit_norms(self.model, self.recipe.max_norm)
        if self.average is not None:
            self.average.update(self.model)

    def _backward(self, batch: Batch, weight: float) -> Logs:
        """Gradients of a batch, or of a part of one that counts `weight`."""
        with self.run.runtime.autocast():
            logits = self.forward(batch.inputs.contiguous(memory_format=self.run.runtime.memory_format))
        loss, logs = self.run.objective(Outputs(logits.float()), batch, self.progress)
        if self.recipe.l1:
            matrices = (p for p in self.model.parameters() if p.ndim >= 2 and p.requires_grad)
            loss = loss + self.recipe.l1 * sum(p.abs().sum() for p in matrices)
        self.scaler.scale(loss if weight == 1 else loss * weight).backward()  # type: ignore[no-untyped-call]
        return {"loss": loss.detach(), **logs}

    def _end_of_step(self, tracker: Tracker) -> None:
        self.step += 1
        ends_epoch = self.step % self.steps_per_epoch == 0
        if ends_epoch or self.step % SETTLE_EVERY == 0:
            self.meter.settle(self.step)
        if ends_epoch:
            self._end_of_epoch()
            tracker.advance(note=_note(self.history, self.epoch, self.recipe.epochs))
        else:
            tracker.advance()

    def _end_of_epoch(self) -> None:
        self._check_weights()
        record = {"epoch": self.epoch, **self.meter.means(), "lr": self.optimizer.param_groups[0]["lr"]}
        self.meter = Meter()
        if self.epoch % self.recipe.validate_every == 0 or self.epoch == self.recipe.epochs:
            record |= self.run.validate(self.kept.eval())
            self.model.train()
        self.history.append(record)
        self.run.on_epoch(record, self.step)

    def _check_weights(self) -> None:
        """The losses were those before the last step: what it made of the weights is seen here."""
        kept = (*self.kept.state_dict().values(), *self.parts.state_dict().values())
        state = [value for value in kept if value.is_floating_point()]
        if not bool(torch.stack([value.isfinite().all() for value in state]).all()):
            raise TrainingDiverged(
                f"training diverged in step {self.step} (weights are not finite); {REMEDY}"
            )

    def save(self) -> None:
        """Everything the next step depends on, onto the disk."""
        self.meter.settle(self.step)
        average = {} if self.average is None else {"average": self.average.state_dict()}
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "parts": self.parts.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "meter": self.meter.state(),
            "history": self.history,
            "step": self.step,
            **average,
        }
        save_checkpoint(self.run.checkpoint, self.run.key, state)

    def resume(self) -> bool:
        """Take up the checkpoint, and tell who follows what was done before; False where there is none."""
        state = load_checkpoint(self.run.checkpoint, self.run.key)
        if state is None:
            return False
        self.model.load_state_dict(state["model"])
        self.parts.load_state_dict(state["parts"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.meter.load(state["meter"])
        self.history, self.step = state["history"], state["step"]
        for record in self.history:
            self.run.on_epoch(record, int(record["epoch"]) * self.steps_per_epoch, resumed=True)
        return True


def sample_order(seed: int, epoch: int, samples: int) -> np.ndarray:
    """The order of an epoch, (samples,): a function of (seed, epoch) alone."""
    generator = torch.Generator().manual_seed(int(hash64(seed, ORDER, epoch, 0, 1)[0]) >> 1)
    return torch.randperm(samples, generator=generator).numpy()


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """The last batch may be small, but not a single sample: batch norm has no variance for one."""
    full, rest = divmod(samples, batch_size)
    return full + (rest > 1 or full == 0)


def _cut(batch: Batch, parts: int, views: int) -> list[Batch]:
    """Parts of nearly equal size, but none of a single sample, for the sake of batch norm.

    The `views` of a sample stay together.
    """
    if parts == 1:
        return [batch]
    samples = len(batch) // views
    edges = np.linspace(0, samples, max(1, min(parts, samples // 2)) + 1).astype(int) * views
    return [batch.part(start, stop) for start, stop in pairwise(edges.tolist())]


def _note(history: list[Record], epoch: int, epochs: int) -> str:
    if not history:
        return f"epoch {epoch + 1}/{epochs}"
    last = history[-1]
    validation = f", validation {last['validation_top1']:.2%}" if "validation_top1" in last else ""
    return f"epoch {min(epoch + 1, epochs)}/{epochs}, loss {last['loss']:.4f}{validation}"
