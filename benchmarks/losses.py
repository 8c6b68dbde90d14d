"""What each loss adds to a step: resnet56 teaches resnet20, 32x32 pictures, 100 classes.

A loss is timed by itself, forward and backward with its connectors, on outputs of the two networks that lie ready:
it is far too short to be seen in the difference of two steps. From logits and embeddings it is held against the
student's step at batch 256, the teacher's rows being read from a cache; from features against the student's step
and the teacher's forward pass together at batch 64. On as many threads as torch takes.
`make bench NAME=losses`. Knob: BENCH_ROUNDS.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bare import ready_batch, seconds, student_step, teacher_step
from common import knob, report
from torch import Tensor, nn
from workloads import open_plan

from distill_cli.hydra_app.composition import config_dir
from distill_cli.losses.outputs import Outputs
from distill_cli.plan import Plan
from distill_cli.stages.jobs.objective import INSIDE, Losses
from distill_cli.stages.jobs.workplace import new_model

ROUNDS = knob("ROUNDS", 5)
CPU = torch.device("cpu")
CLASSES, SAMPLES = 100, 2048
SHAPE = (3, 32, 32)
LIMIT = 0.05  # of a cached step


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        plans = {
            path.stem: _plan(Path(directory), path.stem)
            for path in sorted((config_dir() / "loss").glob("*.yaml"))
            if path.stem != "lwf"  # a kd with another student
        }
        kd = plans["kd"]
        steps = {batch: _steps(kd, batch) for batch in (256, 64)}
        figures: dict[str, list[float]] = {}
        slow = []
        for name, plan in plans.items():
            looks_at_features = "features" in plan.needs
            whole = sum(steps[64]) if looks_at_features else steps[256][0]
            spent = _seconds_of(plan, 64 if looks_at_features else 256)
            figures[f"{name}, ms"] = [1e3 * each for each in spent]
            figures[f"{name}, of its step"] = [each / whole for each in spent]
            if not looks_at_features and min(spent) > LIMIT * whole:
                slow.append(name)
    notes = {
        "student's step, batch 256, ms": 1e3 * steps[256][0],
        "student's step and teacher's forward pass, batch 64, ms": [1e3 * each for each in steps[64]],
        f"logits and embeddings above {LIMIT:.0%} of the step": slow or "none",
    }
    report("losses", figures, notes)


def _plan(directory: Path, loss: str) -> Plan:
    file = directory / "noise.npz"
    if not file.exists():
        generator = np.random.default_rng(0)
        images = generator.integers(0, 256, (SAMPLES, 32, 32, 3), dtype=np.uint8)
        labels = np.arange(SAMPLES) % CLASSES
        np.savez(file, images=images, labels=labels, test_images=images[:100], test_labels=labels[:100])
    words = ("~experiment", "data=arrays", f"data.file={file}", "data.validation=0", "teacher=resnet56")
    return open_plan(directory, *words, "student=resnet20", f"loss={loss}")


def _steps(plan: Plan, batch: int) -> tuple[float, float]:
    """Seconds of the student's step and of the teacher's forward pass, the median."""
    pictures = ready_batch(batch, SHAPE, CPU)
    student = student_step(new_model(plan, plan.config.student.model, 0), pictures, CLASSES)
    teacher = teacher_step(new_model(plan, plan.config.teacher.model, 0), pictures)
    return _median(student), _median(teacher)


def _median(step: Callable[[], object]) -> float:
    step()
    return sorted(seconds(step, 1, CPU) for _ in range(ROUNDS))[ROUNDS // 2]


def _seconds_of(plan: Plan, batch: int) -> list[float]:
    """Of a loss, forward and backward, in each round."""
    student = new_model(plan, plan.config.student.model, seed=0)
    teacher = new_model(plan, plan.config.teacher.model, seed=0).eval() if plan.needs & INSIDE else None
    losses = Losses.fitted(plan, student, teacher)
    pictures, index = torch.randn(batch, *SHAPE), torch.arange(batch)
    of_student = _leaves(replace(_outputs(student.train(), pictures, losses.of_student), index=index))
    of_teacher = Outputs(torch.randn(batch, CLASSES))
    if teacher is not None:
        of_teacher = _outputs(teacher, pictures, losses.of_teacher)
    (term,) = losses.terms
    labels = index % CLASSES
    return [_once(lambda: term(of_student, of_teacher, labels, 4.0, pictures)) for _ in range(ROUNDS + 2)][2:]


@torch.no_grad()
def _outputs(model: nn.Module, pictures: Tensor, insights: object) -> Outputs:
    outputs = Outputs(model(pictures))
    return outputs if insights is None else insights.join(outputs)  # type: ignore[attr-defined, no-any-return]


def _leaves(outputs: Outputs) -> Outputs:
    """As they come from a student: with a gradient to be had."""
    return replace(
        outputs,
        dense=outputs.logits.requires_grad_(),
        embedding=None if outputs.embedding is None else outputs.embedding.requires_grad_(),
        features=tuple(feature.requires_grad_() for feature in outputs.features),
    )


def _once(loss: Callable[[], Tensor]) -> float:
    started = time.perf_counter()
    loss().backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
