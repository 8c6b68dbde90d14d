"""What distilling costs: images a second of an epoch, against the loop of the textbooks and against the bare step.

- textbook: the teacher beside the student in every step, see textbook.py, at its best number of workers, in a
  process of its own
- bare student: forward, hard loss, backward and optimizer on a batch that lies ready; bare teacher: its forward
  pass
- ours, cached: the product's trainer with stored logits and everything `auto`: views, labels, loss, optimizer,
  meters, progress; without the look at the validation part
- ours, plain: the same student trained alone by the product, a new view in every epoch

All in turn on the first pictures of the data set; the soft labels are noise. `make bench
NAME=training`. Knobs: BENCH_ROUNDS, BENCH_STEPS (of an epoch), BENCH_CASES (part of a name), BENCH_COMPILE=1
(the bare step compiled as well), BENCH_WORDS (overrides for ours, "precision=bf16 compile=true").
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bare import rate, ready_batch, student_step, teacher_step
from common import Figures, in_turn, knob, ratios, report
from textbook import Apart, Pictures, Textbook
from workloads import (
    AUTO,
    ENDLESS,
    auto_in_words,
    epoch_rate,
    open_plan,
    pictures,
    product_trainer,
    train_student,
    train_teacher,
    write_random_labels,
    write_subset,
)

from distill_cli.plan import Plan
from distill_cli.stages.jobs.workplace import new_model, open_runtime

ROUNDS, STEPS = knob("ROUNDS", 5), knob("STEPS", 32)
WORKERS = (0, 1, 2)  # the textbook's
SHORT = max(4, STEPS // 4)  # steps of what runs the teacher
WORDS = os.environ.get("BENCH_WORDS", "").split()


@dataclass(frozen=True)
class Case:
    experiment: str
    data: str
    teacher: str
    student: str
    batch: int
    has_textbook: bool

    def words(self, directory: Path) -> list[str]:
        data = write_subset(directory, self.data, STEPS * self.batch)
        return [f"experiment={self.experiment}", *data, "views.count=2", *AUTO, *ENDLESS, *WORDS]


CASES = {
    "resnet32x4 → resnet8x4": Case("cifar100_crd", "cifar100", "resnet32x4", "resnet8x4", 64, True),
    "resnet56 → resnet20": Case("cifar100_crd", "cifar100", "resnet56", "resnet20", 64, True),
    "cnn_fashion → cnn_tiny": Case("fashion_mnist", "fashion_mnist", "cnn_fashion", "cnn_tiny", 128, False),
}


def main() -> None:
    figures: dict[str, list[float]] = {}
    notes: dict[str, object] = {}
    for name, case in CASES.items():
        if os.environ.get("BENCH_CASES", "") in name:
            with tempfile.TemporaryDirectory() as directory:
                found = measure(case, Path(directory), notes)
            figures |= {f"{name}: {what}": list(values) for what, values in found.items()}
    report("training", figures, notes)


def measure(case: Case, directory: Path, notes: dict[str, object]) -> Figures:
    words = case.words(directory)
    plan = open_plan(directory, *words, f"teacher={case.teacher}", f"student={case.student}")
    alone = open_plan(directory, *words, f"teacher={case.student}")
    write_random_labels(plan)
    ours, plain = product_trainer(train_student, plan), product_trainer(train_teacher, alone)
    notes[f"{case.student}: auto is"] = auto_in_words(ours)
    measures = {
        **bare_measures(case, plan, "default" if ours.run.runtime.compile else None),
        "ours": lambda: epoch_rate(ours),
        "plain": lambda: epoch_rate(plain),
    }
    if case.has_textbook:
        textbook, workers = best_textbook(case, plan)
        notes[f"{case.student}: workers of the textbook"] = workers
        measures["textbook"] = textbook.rate
    for warm_up in measures.values():
        warm_up()
    found = in_turn(ROUNDS, **measures)
    if case.has_textbook:
        textbook.end()
    return in_words(found)


def bare_measures(case: Case, plan: Plan, compiled: str | None) -> dict[str, Callable[[], float]]:
    """The student's step is compiled where `auto` compiles ours, so that neither flatters."""
    device, config, shape = open_runtime(plan).device, plan.config, plan.data.image_shape
    ready, classes = ready_batch(case.batch, shape, device), len(plan.data.classes)
    teacher = teacher_step(new_model(plan, config.teacher.model, 0), ready)
    steps = {"student": student_step(new_model(plan, config.student.model, 0), ready, classes, compiled)}
    if knob("COMPILE", 0):
        steps["compiled"] = student_step(new_model(plan, config.student.model, 0), ready, classes, "default")
    return {
        "teacher": lambda: rate(teacher, SHORT, case.batch, device),
        **{name: partial(rate, step, STEPS, case.batch, device) for name, step in steps.items()},
    }


def best_textbook(case: Case, plan: Plan) -> tuple[Apart, int]:
    """At the number of workers that was fastest in a short trial."""
    images, labels = pictures(case.data, SHORT * case.batch)
    device, config = open_runtime(plan).device, plan.config
    found = []
    for workers in WORKERS:
        teacher, student = (new_model(plan, spec, 0) for spec in (config.teacher.model, config.student.model))
        data = Pictures(images, labels, config.views["padding"])
        loop = Apart(Textbook.of(teacher, student, data, case.batch, workers, device))
        loop.rate()
        found.append((max(loop.rate(), loop.rate()), workers, loop))
    print("textbook: " + ", ".join(f"{workers} workers {speed:.0f} images/s" for speed, workers, _ in found))
    found.sort(key=lambda one: one[0])
    for _, _, slower in found[:-1]:
        slower.end()
    return found[-1][2], found[-1][1]


def in_words(found: dict[str, list[float]]) -> Figures:
    names = {
        "textbook": "textbook, images/s",
        "student": "bare student, images/s",
        "compiled": "bare student compiled, images/s",
        "teacher": "bare teacher, images/s",
        "ours": "ours, cached, images/s",
        "plain": "ours, plain, images/s",
    }
    figures = {words: found[name] for name, words in names.items() if name in found}
    figures["ours, cached / bare student"] = ratios(found["ours"], found["student"])
    figures["ours, plain / bare student"] = ratios(found["plain"], found["student"])
    if "textbook" in found:
        figures["ours, cached / textbook"] = ratios(found["ours"], found["textbook"])
        figures["bare student / textbook"] = ratios(found["student"], found["textbook"])
    return figures


if __name__ == "__main__":
    main()
