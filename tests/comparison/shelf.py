"""Artefacts as runs leave them, made with the functions that every run uses; no torch, no training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from distill_cli.artifacts.files import write_json, write_sealed_json
from distill_cli.artifacts.store import Place

KD = {"_target_": "distill_cli.losses.kd.KnowledgeDistillation"}
SGD = {"_target_": "torch.optim.SGD", "lr": 0.05, "momentum": 0.9}
SHIFT = {"_target_": "distill_cli.data.views.recipes.Shift", "pixels": 1, "seed": 0, "mixing": {}}
DENSE = {"_target_": "distill_cli.soft_labels.encodings.Dense", "dtype": "float16", "block": 64}
MODELS = {  # name: its spec, and the number of its parameters
    "mlp_24": ({"_target_": "distill_cli.models.mlp.Mlp", "width": 24}, 1_810),
    "mlp_8": ({"_target_": "distill_cli.models.mlp.Mlp", "width": 8}, 610),
    "cnn_tiny": ({"_target_": "distill_cli.models.cnn.Cnn", "widths": [8, 16]}, 9_114),
    "cnn_digits": ({"_target_": "distill_cli.models.cnn.Cnn", "widths": [32, 64]}, 74_794),
}


def constant(start: float) -> dict:
    return {"_target_": "distill_cli.schedules.Constant", "start": start}


@dataclass(frozen=True)
class Shelf:
    """An artifacts directory. Accuracies are given: `top1` is validation, then test."""

    root: Path
    data: str = "digits"

    def parts(self, **changed) -> dict:
        digests = {
            part: f"{self.data}-{part}" for part in ("train", "validation", "test", "labels", "classes")
        }
        return {**digests, "mean": [0.5], "std": [0.25], **changed}

    def teacher(self, top1=(0.96, 0.95), *, model="cnn_digits", seed=0, epochs=60) -> Place:
        spec, parameters = MODELS[model]
        identity = {
            "stage": "teacher",
            "format": 2,
            "data": self.parts(),
            "model": spec,
            "recipe": {"epochs": epochs, "optimizer": SGD},
            "views": {**SHIFT, "count": None, "seed": seed},
            "seed": seed,
            "precision": "auto",
        }
        place = Place(self.root, "teachers", f"{model}-{self.data}", identity)
        return self._published(place, model, top1, parameters, f"distill train-teacher teacher.seed={seed}")

    def labels(self, teacher: Place, **encoding) -> Place:
        identity = {"stage": "soft_labels", "format": 2, "teacher": teacher.key, "views": SHIFT}
        place = Place(self.root, "soft_labels", "cnn-shift", {**identity, "encoding": {**DENSE, **encoding}})
        place.directory.mkdir(parents=True, exist_ok=True)
        write_sealed_json(place.directory / "labels.json", {"key": place.key, "identity": place.identity})
        return place

    def student(
        self,
        top1,
        labels: Place | list[Place] | None = None,
        *,
        temperature: float = 4.0,
        alpha: float = 0.9,
        seed: int = 0,
        model: str = "mlp_24",
        command: str | None = "",
        more: Mapping[str, object] = MappingProxyType({}),
        **changes,
    ) -> Place:
        """A baseline where there are no `labels`. `changes` replace parts of the identity, `more` of `taught`."""
        spec, parameters = MODELS[model]
        taught = None
        words = f"distill run alpha=0 seed={seed}"
        if labels is not None:
            schedules = {"temperature": constant(temperature), "alpha": constant(alpha)}
            of = [one.key for one in labels] if isinstance(labels, list) else labels.key
            taught = {"source": "cached", "soft_labels": of, "loss": KD, **schedules}
            words = f"distill run temperature={temperature:g} alpha={alpha:g} seed={seed}"
            taught |= more
        identity = {
            "stage": "student",
            "format": 2,
            "data": self.parts(),
            "model": spec,
            "recipe": {"epochs": 10, "clip_norm": None, "optimizer": SGD},
            "views": {**SHIFT, "count": 8},
            "seed": seed,
            "precision": "auto",
            "distillation": taught,
            **changes,
        }
        label = f"{model}-{self.data}-{f'kd-t{temperature:g}-a{alpha:g}' if taught else 'alone'}-s{seed}"
        place = Place(self.root, "students", label, identity)
        return self._published(place, model, top1, parameters, words if command == "" else command)

    def evaluation(
        self,
        student: Place,
        baseline: Place | None = None,
        device="cpu, fp32, 1 thread",
        teacher=None,
        **figures,
    ):
        identity = {
            "student": student.key,
            "teacher": "t",
            "baseline": baseline and baseline.key,
            "device": device,
        }
        place = Place(self.root, "evaluations", student.label, identity)
        place.work.mkdir(parents=True)
        models = {"student": {"artifact": student.name, **figures}, "teacher": teacher}
        report = {"schema": 2, "models": models, "settings": {"device": device}}
        write_json(place.work / "report.json", report)
        place.publish({"metrics": {}})
        return place

    def result(self, path: Path, place: Place, stage="distill", **more) -> dict:
        """What a job that made `place` leaves in its output directory."""
        document = {"schema": 1, "stage": stage, "status": "built", "name": place.name, "key": place.key}
        document |= {"artifact": str(place.directory.absolute()), "inputs": {}, "metrics": {}, **more}
        path.mkdir(parents=True)
        write_json(path / "result.json", document)
        return document

    def grid(self, temperatures=(1, 4), alphas=(0.5, 0.9), seeds=(0, 1, 2)) -> list[Place]:
        """A teacher, its labels, baselines, and students of each combination."""
        labels = self.labels(self.teacher())
        for seed in seeds:
            self.student((0.80 + seed / 100, 0.79 + seed / 100), seed=seed)
        return [
            self.student(
                (0.85 + t / 500 + a / 50 + seed / 200, 0.84 + t / 500 + a / 50 - seed / 200),
                labels,
                temperature=t,
                alpha=a,
                seed=seed,
            )
            for t in temperatures
            for a in alphas
            for seed in seeds
        ]

    def _published(self, place: Place, model: str, top1, parameters: int, command: str | None) -> Place:
        place.work.mkdir(parents=True)
        (place.work / "model.safetensors").write_bytes(b"weights")
        if command is not None:
            (place.work / "build.json").write_text(json.dumps({"command": command}))
        named = zip(("validation_top1", "test_top1"), top1, strict=True)
        metrics = {name: value for name, value in named if value is not None}
        spec = {**MODELS[model][0], "name": model}
        content = {"model": spec, "data": {"name": self.data}}
        place.publish({**content, "metrics": {**metrics, "parameters": parameters, "train_loss": 0.1}})
        return place
