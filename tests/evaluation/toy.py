"""Answers and whole reports without a model behind them."""

import json
from collections.abc import Sequence

import numpy as np

from distill_cli.evaluation.answers import Answers
from distill_cli.evaluation.report import SCHEMA, comparison
from distill_cli.evaluation.sections import paired, sections, trust
from distill_cli.stages.result import finite_or_null

ROLES = ("teacher", "student", "baseline")
HISTORY = [{"epoch": epoch, "hard": 2 / epoch, "loss": 1 / epoch, "lr": 0.1} for epoch in range(1, 6)]


def answers(labels: Sequence[int], predicted: Sequence[int], confidence: Sequence[float] = ()) -> Answers:
    sure = np.asarray(confidence if len(confidence) else [0.75] * len(labels), np.float64)
    columns = (np.asarray(column, np.int64) for column in (range(len(labels)), labels, predicted))
    return Answers(*columns, sure)


def random_answers(seed: int, samples: int = 300, classes: int = 5, right: float = 0.8) -> Answers:
    """The same labels for every seed."""
    labels = np.random.default_rng(0).integers(0, classes, samples)
    generator = np.random.default_rng(seed + 1)
    guessed = generator.integers(0, classes, samples)
    predicted = np.where(generator.random(samples) < right, labels, guessed)
    return answers(labels, predicted, generator.uniform(1 / classes, 1, samples))


def report_of(found: dict[str, Answers | None], classes: Sequence[str], *, pictures: int = 4, **more) -> dict:
    """What report.json would say of these answers, as it is read back."""
    models = {role: None if one is None else figures(one) for role, one in found.items()}
    identity = {"stage": "student", "data": {"train": "a" * 64, "validation": "b" * 64, "test": "c" * 64}}
    identity["data"] |= {"labels": "d" * 64, "classes": list(classes)}
    build = {"command": "distill run", "seconds": {"total": 1.5}, "environment": {"torch": "2.15.0"}}
    step = {"role": "student", "kind": "students", "name": "toy-123", "key": "e" * 64}
    report = {
        "schema": SCHEMA,
        "title": "toy",
        "command": "distill run seed=1",
        "models": models,
        "comparison": comparison(models, paired(found["student"], found["baseline"])),
        "settings": {"data": "toy", "device": "cpu, fp32, 1 thread"},
        **sections(found, classes, ece_bins=10, pictures=pictures),
        "curves": {
            "teacher": HISTORY,
            "student": [{**one, "validation_top1": 0.5} for one in HISTORY],
            "baseline": [],
        },
        "provenance": [{**step, "identity": identity, "build": build}],
        "evidence": {},
        "diagnosis": [],
        **more,
    }
    return json.loads(json.dumps(finite_or_null(report), sort_keys=True, allow_nan=False))


def figures(one: Answers) -> dict:
    top1 = float(one.right.mean()) if len(one) else float("nan")
    parts = {"parameters": 1000, "latency_ms_b1_p50": 0.5, "ece": 0.1, "nll": 0.5, "agreement": 0.9}
    return {"top1": top1, **trust(one), **parts}


def three(classes: int = 5, baseline: bool = True) -> dict[str, Answers | None]:
    found = {role: random_answers(seed, classes=classes) for seed, role in enumerate(ROLES)}
    return found if baseline else {**found, "baseline": None}
