"""What the benchmarks put before the product, and the one place where they touch its inside.

A config is composed as the command line does it. A `Trainer` is caught as its stage is about to run it, so that
what is measured is what a user gets, however the stage comes by it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import numpy as np
import torch
from hydra import compose, initialize_config_dir

from distill_cli.artifacts.files import make_directory
from distill_cli.config.overrides import as_hydra
from distill_cli.data import torchvision_sets
from distill_cli.data.batch import Batch
from distill_cli.data.loader import Loader
from distill_cli.errors import Interrupted
from distill_cli.hydra_app.composition import VERSION_BASE, config_dir, user_config
from distill_cli.plan import Plan
from distill_cli.runtime.console import Tracker
from distill_cli.runtime.signals import StopRequest
from distill_cli.soft_labels.encodings import open_encoding
from distill_cli.soft_labels.encodings.error import measure
from distill_cli.stages.ensure import Built
from distill_cli.stages.jobs.train import train_student, train_teacher
from distill_cli.stages.jobs.workplace import open_runtime, train_loader
from distill_cli.training.loop import Trainer, sample_order

AUTO = ("device=auto", "precision=auto", "compile=auto")  # what a user gets who says nothing
ENDLESS = ("teacher.epochs=1000000", "student.epochs=1000000")  # the benchmark says when to stop
SETS = {  # folder of the real pictures, shape as they are stored, classes
    "cifar100": ("cifar-100-python", (32, 32, 3), 100),
    "fashion_mnist": ("FashionMNIST", (28, 28), 10),
}
__all__ = ["train_student", "train_teacher"]


def open_plan(directory: Path, *words: str) -> Plan:
    """What a command line means. Artefacts go below `directory`."""
    words = (*words, f"paths.artifacts={directory / 'artifacts'}")
    with user_config(None), initialize_config_dir(str(config_dir()), version_base=VERSION_BASE):
        config = compose("config", overrides=[as_hydra(word) for word in words])
    return Plan.of(config)


def write_random_labels(plan: Plan) -> None:
    """A complete label set with noise for logits: what they say costs nothing, reading them does."""
    labels, classes = plan.labels, len(plan.data.classes)
    encoding = open_encoding(plan.config.soft_labels, classes)
    most = max(block.rows for block in labels.blocks())
    logits = torch.randn(most, classes, generator=torch.Generator().manual_seed(0))
    rows, error = encoding.encode(logits), measure(encoding, logits[:64])
    with labels.place.locked():
        labels.write_identity()
    for block in labels.blocks():
        block.shard("logits").write(rows[: block.rows], error)


class _CaughtError(Exception):
    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.trainer = trainer


def product_trainer(stage: Callable[[Plan], Built], plan: Plan) -> Trainer:
    """The trainer that a stage has made ready for its first step."""

    def catch(trainer: Trainer, *_: object) -> NoReturn:
        raise _CaughtError(trainer)

    with patch.object(Trainer, "train", catch):
        try:
            stage(plan)
        except _CaughtError as caught:
            make_directory(caught.trainer.run.checkpoint.parent)
            return caught.trainer
    raise AssertionError(f"{stage} never trained")


class _Clock(Tracker):
    """Asks a trainer to stop after so many steps, and notes when the device had done them."""

    def __init__(self, steps: int, stop: StopRequest, device: torch.device) -> None:
        super().__init__("epoch", steps, "steps", 0)
        self.stop, self.device, self.seconds = stop, device, 0.0

    def _update(self) -> None:
        if self.done >= self.total and not self.seconds:
            wait_for(self.device)
            self.seconds = time.monotonic() - self.started
            self.stop.exit_code = 0


def epoch_rate(trainer: Trainer) -> float:
    """Images a second of the trainer's next epoch; it stands still afterwards, and can be asked again."""
    stop = StopRequest()
    clock = _Clock(trainer.steps_per_epoch, stop, trainer.run.runtime.device)
    try:
        trainer.train(stop, clock)
    except Interrupted:
        return trainer.run.loader.size / clock.seconds
    raise AssertionError("training came to its end")


def auto_in_words(trainer: Trainer) -> str:
    """What `auto` came to."""
    described = trainer.run.runtime.describe()
    return ", ".join(f"{key} {value}" for key, value in described.items())


def views_loader(plan: Plan) -> Loader:
    """The loader of a training on this plan's views."""
    return train_loader(plan, plan.config.views, open_runtime(plan))


def epoch_of(loader: Loader, epoch: int, batch_size: int) -> Iterator[Batch]:
    """One epoch in the order of training: pixels augmented and normalised on the device."""
    return loader.epoch(sample_order(0, epoch, loader.size), epoch, batch_size)


def data_path(trainer: Trainer, epoch: int) -> Iterator[torch.Tensor]:
    """All that a step of distillation reads, and no student: pictures in their views, labels decoded."""
    teacher = trainer.run.objective.teacher  # type: ignore[attr-defined] # of a Distillation
    for batch in epoch_of(trainer.run.loader, epoch, trainer.recipe.batch_size):
        yield teacher(batch).logits


def write_subset(directory: Path, name: str, train: int, test: int = 64) -> list[str]:
    """The first pictures of a data set as an .npz, and the words that choose it."""
    images, labels = pictures(name, train + test)
    path = directory / f"{name}.npz"
    classes = np.array([str(number) for number in range(SETS[name][2])])
    held_out = {"test_images": images[train:], "test_labels": labels[train:]}
    np.savez(path, images=images[:train], labels=labels[:train], classes=classes, **held_out)
    return ["data=arrays", f"data.file={path}", "data.validation=0"]


def pictures(name: str, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """The first of a data set's train part as it stores them; noise where its files are not there."""
    folder, shape, classes = SETS[name]
    root = real_data()
    if root is not None and (root / folder).is_dir():
        split = getattr(torchvision_sets, name)(root).train
        images = np.moveaxis(split.images[:samples], 1, 3).reshape(-1, *shape)
        return np.ascontiguousarray(images), split.labels[:samples]
    print(f"noise for {name}: set DISTILL_TEST_DATA to a torchvision root for real pictures")
    random = np.random.default_rng(0)
    return random.integers(0, 256, (samples, *shape), np.uint8), random.integers(0, classes, samples)


def real_data() -> Path | None:
    """A torchvision root, and the folders of flowers and the like."""
    root = os.environ.get("DISTILL_TEST_DATA")
    return Path(root).absolute() if root and Path(root).is_dir() else None


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
