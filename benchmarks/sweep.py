"""What a sweep costs beyond its trainings: 8 temperatures × 3 seeds of the digits' student, in one process.

Ours: `distill distill -m …` as a user types it, from the start of the process to its end: teacher and soft labels
are there, 24 students are trained, tested and written. Bare: 24 times the steps of one such training, forward, hard
cross-entropy, backward and fused SGD on a batch that lies ready, in float32 on one thread, which is the fastest
here; and the same with the loss of distillation, logits ready in memory. In turn, with new seeds in each round.
`make bench NAME=sweep`. Knobs: BENCH_ROUNDS, BENCH_EPOCHS.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import in_turn, knob, ratios, report
from torch import Tensor
from torch.nn import functional as F
from workloads import open_plan

from distill_cli.stages.jobs.workplace import new_model
from distill_cli.training.loop import steps_per_epoch

ROUNDS, EPOCHS = knob("ROUNDS", 5), knob("EPOCHS", 150)
TEMPERATURES, SEEDS = (1, 1.5, 2, 3, 4, 6, 8, 16), 3
JOBS = len(TEMPERATURES) * SEEDS
TEMPERATURE, ALPHA = 2.0, 0.9


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        run(directory, "run", f"student.epochs={EPOCHS}")  # teacher and soft labels
        seeds = iter(range(1000, 10_000_000, SEEDS))
        found = in_turn(
            ROUNDS,
            sweep=lambda: sweep(directory, next(seeds)),
            bare=lambda: bare(Path(directory), distils=False),
            distilling=lambda: bare(Path(directory), distils=True),
        )
    report(
        "sweep",
        {
            f"{JOBS} students in one sweep, s": found["sweep"],
            f"{JOBS} × the bare training, s": found["bare"],
            f"{JOBS} × the bare training with the soft loss, s": found["distilling"],
            "sweep / bare": ratios(found["sweep"], found["bare"]),
            "sweep / bare with the soft loss": ratios(found["sweep"], found["distilling"]),
        },
    )


def sweep(directory: str, first_seed: int) -> float:
    temperatures = ",".join(map(str, TEMPERATURES))
    seeds = ",".join(str(first_seed + number) for number in range(SEEDS))
    started = time.perf_counter()
    words = ("-m", f"temperature={temperatures}", f"seed={seeds}", f"student.epochs={EPOCHS}")
    run(directory, "distill", *words)
    return time.perf_counter() - started


def run(directory: str, *words: str) -> None:
    program = Path(sys.executable).parent / "distill"
    subprocess.run([program, *words], cwd=directory, check=True, capture_output=True)


def bare(directory: Path, distils: bool) -> float:
    """Seconds that all trainings take, from one of them."""
    plan = open_plan(directory)
    model = new_model(plan, plan.config.student.model, 0).train()
    batch, classes = plan.config.student.batch_size, len(plan.data.classes)
    pictures, labels = torch.randn(batch, *plan.data.image_shape), torch.arange(batch) % classes
    logits = torch.randn(batch, classes)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.perf_counter()
    for _ in range(EPOCHS * steps_per_epoch(len(plan.data.train), batch)):
        optimizer.zero_grad(set_to_none=True)
        loss(model(pictures), labels, logits if distils else None).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    seconds = time.perf_counter() - started
    torch.set_num_threads(threads)
    return JOBS * seconds


def loss(student: Tensor, labels: Tensor, teacher: Tensor | None) -> Tensor:
    hard = F.cross_entropy(student, labels)
    if teacher is None:
        return hard
    pair = [F.log_softmax(logits / TEMPERATURE, dim=1) for logits in (student, teacher)]
    soft = F.kl_div(*pair, reduction="batchmean", log_target=True)
    return (1 - ALPHA) * hard + ALPHA * TEMPERATURE**2 * soft


if __name__ == "__main__":
    main()
