"""Whether cost stays flat as work grows: samples, stored views, classes.

For each size two rates, in images a second over whole epochs: the *data path* (pixels gathered, augmented and
normalised, labels read and decoded, no student) and the *pass* (the product's trainer, with the smallest
student, so that the data path shows). Beside them the bare step of that student on a batch that lies ready, the
seconds to open everything (data set, its fingerprint, labels with their checksums, loader, model), and the peak
of memory beyond the process after its imports.

Each size is a process of its own, in turn within a round. Pictures are noise of 8×8, so that a million are
small; logits are noise. The claim is that rates do not fall: "/ smallest" is against the first size of the row,
in the same round. With classes a row of labels grows, and the student's last layer and its loss with it: there
the bytes of labels a second are what is limited, and "pass / bare" tells ours from the student's. `make bench
NAME=scaling`.

Knobs: BENCH_ROUNDS, BENCH_SECONDS (at least so long for a rate), BENCH_MOST (largest number of samples).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from bare import rate, ready_batch, student_step
from common import knob, ratios, report
from peak import MIB, memory
from workloads import (
    AUTO,
    ENDLESS,
    data_path,
    epoch_rate,
    open_plan,
    product_trainer,
    train_student,
    write_random_labels,
)

from distill_cli.plan import Plan
from distill_cli.stages.jobs.workplace import new_model, open_runtime

ROUNDS, MOST = knob("ROUNDS", 5), knob("MOST", 1_000_000)
SECONDS = float(os.environ.get("BENCH_SECONDS", 1))
BATCH = 256
SIDE, TEST = 8, 64
SETTING = ("~experiment", "student=mlp_24", f"student.batch_size={BATCH}", *AUTO, *ENDLESS)
MEASURES = {"data path": "images/s", "pass": "images/s", "bare": "images/s", "open": "s", "memory": "MiB"}


@dataclass(frozen=True)
class Size:
    samples: int
    views: int
    classes: int

    def words(self, directory: Path) -> list[str]:
        data = [f"data.file={directory / 'data.npz'}", "data.validation=0"]
        return [*SETTING, "data=arrays", *data, f"views.count={self.views}"]


ROWS: dict[str, dict[int, Size]] = {
    "samples": {n: Size(n, 2, 10) for n in (10_000, 100_000, 1_000_000) if n <= MOST},
    "views": {views: Size(min(20_000, MOST), views, 100) for views in (1, 2, 4, 8, 16, 32)},
    "classes": {classes: Size(min(10_000, MOST), 1, classes) for classes in (10, 100, 1_000, 10_000)},
}


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        sizes = [(row, number, size) for row, series in ROWS.items() for number, size in series.items()]
        for row, number, size in sizes:
            prepare(size, Path(root) / f"{row}-{number}")
        found: dict[tuple[str, int], list[dict[str, float]]] = {(row, number): [] for row, number, _ in sizes}
        for _ in range(ROUNDS):
            for row, number, size in sizes:
                found[row, number].append(measured(size, Path(root) / f"{row}-{number}"))
    report("scaling", in_words(found))


def prepare(size: Size, directory: Path) -> None:
    """Pictures and a complete label set on the disk."""
    directory.mkdir()
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {"classes": np.array([str(number) for number in range(size.classes)])}
    for part, samples in (("", size.samples), ("test_", TEST)):
        arrays[f"{part}images"] = random.integers(0, 256, (samples, SIDE, SIDE), np.uint8)
        arrays[f"{part}labels"] = random.integers(0, size.classes, samples)
    np.savez(directory / "data.npz", **arrays)  # type: ignore[arg-type]
    write_random_labels(open_plan(directory, *size.words(directory)))


def measured(size: Size, directory: Path) -> dict[str, float]:
    words = [sys.executable, __file__, json.dumps(asdict(size)), str(directory)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def child(size: Size, directory: Path) -> dict[str, float]:
    """In a process of its own: one number for each of `MEASURES`."""
    before, started = memory("VmRSS"), time.perf_counter()
    plan = open_plan(directory, *size.words(directory))
    trainer = product_trainer(train_student, plan)
    opened = time.perf_counter() - started
    epochs = iter(range(1, 1_000_000))

    def path_rate() -> float:
        started = time.perf_counter()
        images = sum(len(logits) for logits in data_path(trainer, next(epochs)))
        return images / (time.perf_counter() - started)

    return {
        "data path": mean_rate(path_rate, size.samples),
        "pass": mean_rate(lambda: epoch_rate(trainer), size.samples),
        "open": opened,
        "memory": (memory("VmHWM") - before) / MIB,
        "bare": bare_rate(plan),
    }


def bare_rate(plan: Plan) -> float:
    """The student alone on a batch that lies ready, with hard labels: what classes cost without any data."""
    device, steps = open_runtime(plan).device, 100
    student = new_model(plan, plan.config.student.model, 0)
    step = student_step(student, ready_batch(BATCH, plan.data.image_shape, device), len(plan.data.classes))
    return mean_rate(lambda: rate(step, steps, BATCH, device), steps * BATCH)


def mean_rate(measure: Callable[[], float], samples: int) -> float:
    """Of whole epochs, enough for `SECONDS`, after one that warms up."""
    measure()
    seconds, epochs = 0.0, 0
    while seconds < SECONDS:
        seconds += samples / measure()
        epochs += 1
    return epochs * samples / seconds


def in_words(found: dict[tuple[str, int], list[dict[str, float]]]) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {}
    for row, series in ROWS.items():
        smallest = found[row, min(series)]
        for number, size in series.items():
            figures |= {
                f"{number:,} {row}: {what}": v for what, v in lines(size, found[row, number], smallest)
            }
    return figures


def lines(
    size: Size, measures: list[dict[str, float]], smallest: list[dict[str, float]]
) -> Iterator[tuple[str, list[float]]]:
    """Of one size: what was measured, and how it stands to the smallest size and to the bare student."""
    values = {what: [one[what] for one in measures] for what in MEASURES}
    yield from ((f"{what}, {unit}", values[what]) for what, unit in MEASURES.items())
    for what in ("data path", "pass"):
        yield f"{what} / smallest", ratios(values[what], [one[what] for one in smallest])
    yield "pass / bare", ratios(values["pass"], values["bare"])
    yield "data path, MB/s of labels", [rate * 2 * size.classes / 1e6 for rate in values["data path"]]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(child(Size(**json.loads(sys.argv[1])), Path(sys.argv[2]))))
    else:
        main()
