"""On one NVIDIA GPU: whole runs of CIFAR-100's students, and how far a step is from what the device can do.

`make bench-gpu`; without a GPU it says so and ends. Three parts, each with a table of its own
(BENCH_PARTS=runs,teacher,steps):

- runs (gpu_runs): `distill distill` from cached logits as a whole process, start-up and final test included,
  for resnet8x4 and resnet20. The aim is 60 s for 240 epochs on an H100. The logits are those of a resnet32x4
  trained for one epoch, since what they say costs nothing
- teacher (gpu_teacher): seconds an epoch of resnet32x4 from two whole runs of `distill train-teacher`, of 1 and
  of 1 + BENCH_TEACHER_EPOCHS epochs, and 240 epochs worked out from it
- steps (gpu_steps): seconds a step of our trainer, of the bare step (eager and compiled), and the bounds of
  limits.py

CIFAR-100 is read from DISTILL_TEST_DATA; without it, noise in the same files. Knobs: BENCH_EPOCHS,
BENCH_TEACHER_EPOCHS, BENCH_ROUNDS (steps), BENCH_RUNS (whole runs), BENCH_STEPS (bare steps a round),
BENCH_PICTURES (0: all), BENCH_COMPILE=0 (no compiled bare steps), BENCH_KEEP=DIR (artefacts stay there),
BENCH_DEVICE=cpu (to try the script out).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import torch
from bare import Step, ready_batch, seconds, student_step
from cifar_files import write_cifar100
from common import in_turn, knob, ratios, report
from limits import Device, limits_of
from torch import nn
from workloads import (
    ENDLESS,
    auto_in_words,
    epoch_rate,
    open_plan,
    product_trainer,
    real_data,
    train_student,
    write_random_labels,
)

from distill_cli.plan import Plan
from distill_cli.stages.jobs.workplace import new_model

EPOCHS, TEACHER_EPOCHS = knob("EPOCHS", 240), knob("TEACHER_EPOCHS", 8)
ROUNDS, RUNS, STEPS, PICTURES = knob("ROUNDS", 5), knob("RUNS", 3), knob("STEPS", 200), knob("PICTURES", 0)
WANTED = 240  # epochs of the protocol
STUDENTS = ("resnet8x4", "resnet20")
COMPILED = {
    "bare step": None,
    "bare step, compiled": "default",
    "bare step, reduce-overhead": "reduce-overhead",
}
DEVICE = os.environ.get("BENCH_DEVICE", "cuda")
BATCH = 64
SEEDS = count(int(time.time()))  # one of its own for each run, or it would be up to date


def main() -> None:
    if DEVICE == "cuda" and not torch.cuda.is_available():
        print("gpu: no CUDA device here, nothing was measured")
        return
    parts = {"runs": runs, "teacher": teacher, "steps": steps}
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(os.environ.get("BENCH_KEEP", scratch)).absolute()
        directory.mkdir(parents=True, exist_ok=True)
        words = common_words(Path(scratch))
        for name in os.environ.get("BENCH_PARTS", ",".join(parts)).split(","):
            parts[name](directory, words)


def common_words(scratch: Path) -> list[str]:
    root = None if PICTURES else real_data()
    if root is None or not (root / "cifar-100-python").is_dir():
        print("noise for CIFAR-100" + ("" if PICTURES else ": set DISTILL_TEST_DATA for real pictures"))
        samples = PICTURES or 50_000
        root = write_cifar100(scratch / "data", samples, samples // 5)
    recipe = ["experiment=cifar100_crd", "teacher=resnet32x4", "views.count=8"]
    return [*recipe, f"paths.data={root}", f"device={DEVICE}"]


def runs(directory: Path, words: list[str]) -> None:
    words = [*words, "teacher.epochs=1"]
    figures = {
        f"{verb}, s": [command(directory, verb, *words)] for verb in ("train-teacher", "gen-soft-labels")
    }

    def whole(student: str) -> float:
        own = (f"student={student}", f"student.epochs={EPOCHS}", f"seed={next(SEEDS)}")
        return command(directory, "distill", *words, *own)

    found = in_turn(RUNS, **{student: lambda student=student: whole(student) for student in STUDENTS})
    figures |= {f"{student}, {EPOCHS} epochs: whole run, s": spent for student, spent in found.items()}
    report("gpu_runs", figures)


def teacher(directory: Path, words: list[str]) -> None:
    def whole(epochs: int) -> float:
        own = (f"teacher.epochs={epochs}", f"teacher.seed={next(SEEDS)}")
        return command(directory, "train-teacher", *words, *own)

    found = in_turn(RUNS, short=lambda: whole(1), long=lambda: whole(1 + TEACHER_EPOCHS))
    pairs = list(zip(found["short"], found["long"], strict=True))
    epochs = [(long - short) / TEACHER_EPOCHS for short, long in pairs]
    scaled = [short + (WANTED - 1) * epoch for (short, _), epoch in zip(pairs, epochs, strict=True)]
    figures = {
        "resnet32x4, 1 epoch: whole run, s": found["short"],
        f"resnet32x4, {1 + TEACHER_EPOCHS} epochs: whole run, s": found["long"],
        "resnet32x4: an epoch, s": epochs,
        f"resnet32x4, {WANTED} epochs, worked out, s": scaled,
    }
    report("gpu_teacher", figures)


def command(directory: Path, verb: str, *words: str) -> float:
    """Seconds of a whole process."""
    started = time.perf_counter()
    distill = str(Path(sys.executable).parent / "distill")
    done = subprocess.run([distill, verb, *words], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spent = time.perf_counter() - started
    print(f"{spent:8.1f} s  distill {verb} {' '.join(words)}", flush=True)
    return spent


def steps(directory: Path, words: list[str]) -> None:
    device = Device.measured(torch.device(DEVICE))
    figures = {
        "launching a kernel, µs": [1e6 * device.launch],
        "copying, GB/s": [device.copying / 1e9],
        "multiplying in bfloat16, TFLOP/s": [device.multiplying / 1e12],
    }
    notes: dict[str, object] = {}
    for student in STUDENTS:
        plan = open_plan(directory / "steps", *words, *ENDLESS, f"student={student}")
        figures |= {f"{student}: {what}": values for what, values in steps_of(plan, device, notes).items()}
    report("gpu_steps", figures, notes)


def steps_of(plan: Plan, device: Device, notes: dict[str, object]) -> dict[str, list[float]]:
    """Milliseconds a step, and parts of what is possible."""
    pictures, classes = ready_batch(BATCH, plan.data.image_shape, device.device), len(plan.data.classes)

    def milliseconds(step: Step) -> float:
        return 1e3 / STEPS * seconds(step, STEPS, device.device)

    def student() -> nn.Module:
        return new_model(plan, plan.config.student.model, 0).to(device.device)

    modes = {name: mode for name, mode in COMPILED.items() if mode is None or knob("COMPILE", 1)}
    bare = {name: student_step(student(), pictures, classes, mode) for name, mode in modes.items()}
    limits = limits_of(student(), bare["bare step"], pictures, device)
    if not plan.labels.is_complete():
        write_random_labels(plan)
    trainer = product_trainer(train_student, plan)
    notes[f"{plan.config.student.model['name']}: auto is"] = auto_in_words(trainer)
    measures: dict[str, Callable[[], float]] = {
        "ours": lambda: 1e3 * BATCH / epoch_rate(trainer),
        **{name: partial(milliseconds, step) for name, step in bare.items()},
    }
    for warm_up in measures.values():
        warm_up()
    found = in_turn(ROUNDS, **measures)
    best = [min(values) for values in zip(*(found[name] for name in bare), strict=True)]
    return {
        **{f"{name}, ms a step": values for name, values in found.items()},
        **{f"bound by {name}, ms a step": [1e3 * value] for name, value in limits.named().items()},
        "best bare step / ours": ratios(best, found["ours"]),
        "bound / ours": [1e3 * limits.bound / value for value in found["ours"]],
    }


if __name__ == "__main__":
    main()
