"""Students without a training: what the formats need of a plan, and no more."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import yaml
from torch import nn

from distill_cli.artifacts.store import Place
from distill_cli.data.splits import ArraySplit, DataSet
from distill_cli.export.student import Student
from distill_cli.hydra_app.composition import config_dir
from distill_cli.models.build import build_model

CLASSES = ("ape", "bête", "猫")


def data_set(shape: tuple[int, int, int], samples: int = 20) -> DataSet:
    """Random pictures, sorted by class."""
    images = np.random.default_rng(0).integers(0, 256, (samples, *shape), dtype=np.uint8)
    split = ArraySplit(images, np.sort(np.arange(samples) % len(CLASSES)))
    mean, std = (0.3, 0.5, 0.4)[: shape[0]], (0.2, 0.3, 0.25)[: shape[0]]
    return DataSet("toy", CLASSES, mean, std, shape, split, split, split)


def student_of(model: nn.Module, shape: tuple[int, int, int], name: str = "toy") -> Student:
    spec = {"name": name, "_target_": "nobody.makes.it"}
    config = SimpleNamespace(student=SimpleNamespace(model=spec))
    place = Place(Path("artifacts"), "students", name, {"name": name})
    plan = SimpleNamespace(student=place, data=data_set(shape), config=config, reuses_classifier=False)
    return Student(plan, model.eval())


def configured(name: str, shape: tuple[int, int, int]) -> Student:
    """A model of conf/model, with statistics that keep its logits alive."""
    spec = yaml.safe_load((config_dir() / "model" / f"{name}.yaml").read_text())
    model = build_model(spec, num_classes=len(CLASSES), image_shape=shape, seed=0, pretrained=False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(16, *shape, generator=torch.Generator().manual_seed(0)))
    return student_of(model, shape, name)


def textbook(student: Student, pixels: np.ndarray) -> np.ndarray:
    """Logits, with the normalisation of the docs in float64."""
    mean, std = (np.reshape(values, (1, -1, 1, 1)) for values in (student.data.mean, student.data.std))
    with torch.no_grad():
        return student.model(torch.from_numpy((pixels / 255 - mean) / std).float()).numpy()


def random_pixels(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)
