"""Running the teacher over the blocks that are missing, side by side with whoever else does.

A process works on the blocks it gets a claim on, leaves those of others alone, and ends when nothing is missing.
A block whose holder died is free again and is taken over.
"""

from __future__ import annotations

import shutil
import time
from functools import cache

from torch import nn

from distill_cli.artifacts.claims import Claims
from distill_cli.data.loader import Loader
from distill_cli.errors import ResourceError
from distill_cli.models.penultimate import Penultimate
from distill_cli.plan import Plan
from distill_cli.runtime.console import Tracker, say, track
from distill_cli.runtime.device import Runtime
from distill_cli.runtime.signals import StopRequest, graceful
from distill_cli.soft_labels.encodings import open_encoding, row_bytes
from distill_cli.soft_labels.label_set import EMBEDDING, LOGITS, Block
from distill_cli.soft_labels.writer import Labelled, Labeller, WriteBehind
from distill_cli.stages.jobs.workplace import (
    clean_loader,
    memory_advice,
    teacher_spec,
    train_loader,
    trained_model,
)
from distill_cli.stages.summary import human_bytes

SPARE_BYTES = 1 << 20  # for directories
SEAL_BYTES = 2048  # at most, but for files of many MiB
SECONDS_BETWEEN_LOOKS = 0.2  # at what other processes have done meanwhile


def label(plan: Plan, missing: list[Block], what: str) -> tuple[int, dict[str, str]]:
    """Make the missing blocks complete. How many this process wrote, and what the run resolved.

    `what` are the soft labels to people: whose they are, where there are several.
    """
    rows = sum(block.rows for block in missing)
    with (
        memory_advice("soft_labels.batch_size"),
        graceful() as stop,
        Claims(plan.labels.place.claims) as claims,
        track(what, rows, "rows") as tracker,
    ):
        batch_size = plan.config.soft_labels["batch_size"]
        teacher, runtime = trained_model(plan, teacher_spec(plan), plan.teacher, batch_size)
        labeller = _labeller(plan, teacher, runtime, stop, tracker)
        _check_space(plan, labeller, missing)
        with plan.labels.place.locked():  # for labels.json alone: blocks are claimed one by one
            claims.be_present()
            plan.labels.write_identity()
        counted = "1 block" if len(missing) == 1 else f"{len(missing)} blocks"
        say(f"{what}: {counted} with {rows:,} rows on {runtime}")
        with runtime.at_work(), WriteBehind() as disk:
            work = _Work(plan, runtime, labeller, claims, disk)
            left = missing
            while left:
                left = [block for block in left if not work.is_done(block, tracker)]
                stop.obey()
                if left:
                    work.wait()
        plan.labels.check_identity()
    return work.written, runtime.describe()


class _Work:
    """What one process does, a block at a time."""

    def __init__(
        self, plan: Plan, runtime: Runtime, labeller: Labeller, claims: Claims, disk: WriteBehind
    ) -> None:
        self.labels, self.labeller, self.claims, self.disk = plan.labels, labeller, claims, disk
        self.written = 0
        self.has_waited = False
        self.loader = cache(lambda split: _loader(plan, split, runtime))

    def is_done(self, block: Block, tracker: Tracker) -> bool:
        """Label what is missing of a block, unless another process is at it."""
        if not self.claims.take(block.name):
            return False
        parts = self.labels.unsealed(block)
        if not parts:
            self.claims.give_back(block.name)
            tracker.advance(block.rows)
            return True
        labelled = self.labeller.label(block, parts, self.loader(block.split))
        self.disk.submit(lambda: self._write(labelled))
        self.written += len(parts)
        return True

    def _write(self, labelled: Labelled) -> None:
        if self.claims.are_exclusive:
            labelled.sweep()
        labelled.write()
        self.claims.give_back(labelled.block.name)

    def wait(self) -> None:
        if not self.has_waited:
            say(f"waiting for other processes that label {self.labels.place.name}")
            self.has_waited = True
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _labeller(
    plan: Plan, teacher: nn.Module, runtime: Runtime, stop: StopRequest, tracker: Tracker
) -> Labeller:
    def on_batch(samples: int) -> None:
        tracker.advance(samples)
        stop.obey()

    return Labeller(
        teacher,
        open_encoding(plan.config.soft_labels, len(plan.data.classes)),
        runtime,
        plan.config.soft_labels["batch_size"],
        on_batch,
        Penultimate(teacher) if EMBEDDING in plan.labels.parts else None,
    )


def _loader(plan: Plan, split: str, runtime: Runtime) -> Loader:
    if split == "train":
        return train_loader(plan, plan.config.views, runtime)
    return clean_loader(plan, plan.data.splits[split], runtime)


def _check_space(plan: Plan, labeller: Labeller, missing: list[Block]) -> None:
    """Raise `ResourceError` before the teacher starts, where the rows cannot fit."""
    sizes = {LOGITS: row_bytes(labeller.encoding)}
    if labeller.penultimate is not None:
        sizes[EMBEDDING] = 2 * labeller.penultimate.width
    needed = SPARE_BYTES + sum(
        sizes[part] * block.rows + SEAL_BYTES for block in missing for part in plan.labels.unsealed(block)
    )
    directory = plan.labels.place.directory
    free = shutil.disk_usage(next(path for path in (directory, *directory.parents) if path.is_dir())).free
    if free < needed:
        raise ResourceError(
            f"the soft labels need {human_bytes(needed)} in {directory}, "
            f"{human_bytes(free)} are free; make room, or lower views.count"
        )
