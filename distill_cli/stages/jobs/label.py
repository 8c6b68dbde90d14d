"""Running the teacher over the shards that are missing."""

from __future__ import annotations

import shutil

from distill_cli.artifacts.files import sweep_temporary
from distill_cli.errors import ResourceError
from distill_cli.plan import Plan
from distill_cli.runtime.console import say, track
from distill_cli.runtime.device import Runtime
from distill_cli.runtime.signals import graceful
from distill_cli.soft_labels.encodings import Encoding, open_encoding
from distill_cli.soft_labels.shards import Shard
from distill_cli.soft_labels.writer import Labeller
from distill_cli.stages.jobs.workplace import (
    clean_loader,
    memory_advice,
    open_runtime,
    train_loader,
    trained_model,
)
from distill_cli.stages.summary import human_bytes

SPARE_BYTES = 1 << 20  # for seals and directories


def label(plan: Plan, missing: list[Shard]) -> dict[str, str]:
    """Write the missing shards; what the run resolved comes back. The label set's lock is held by the caller."""
    labels, encoding, runtime = plan.labels, open_encoding(plan.config.soft_labels), open_runtime(plan)
    labels.write_identity()
    sweep_temporary(labels.place.directory)
    _check_space(plan, encoding, missing)
    rows = sum(shard.rows for shard in missing)
    say(f"soft labels: {len(missing)} files with {rows:,} rows on {runtime.describe()['device']}")
    with (
        memory_advice("soft_labels.batch_size"),
        graceful() as stop,
        track("soft labels", rows, "rows") as tracker,
    ):

        def on_batch(samples: int) -> None:
            tracker.advance(samples)
            stop.obey()

        teacher = trained_model(plan, plan.config.teacher.model, plan.teacher, runtime)
        batch_size = plan.config.soft_labels["batch_size"]
        _write(plan, runtime, missing, Labeller(teacher, encoding, runtime, batch_size, on_batch))
    return runtime.describe()


def _write(plan: Plan, runtime: Runtime, missing: list[Shard], labeller: Labeller) -> None:
    wanted = {shard.path for shard in missing}
    train = [shard for shard in plan.labels.train() if shard.path in wanted]
    if train:
        labeller.write(train, train_loader(plan, plan.config.views, runtime))
    for name in ("validation", "test"):
        held_out = [shard for shard in missing if shard.path.parent.parent.name == name]
        if held_out:
            labeller.write(held_out, clean_loader(plan, plan.data.splits[name], runtime))


def _check_space(plan: Plan, encoding: Encoding, missing: list[Shard]) -> None:
    """Raise `ResourceError` before the teacher starts, where the rows cannot fit."""
    classes = len(plan.data.classes)
    row_bytes = encoding.row_dtype(classes).itemsize
    for length in encoding.row_shape(classes):
        row_bytes *= length
    needed = row_bytes * sum(shard.rows for shard in missing) + SPARE_BYTES
    free = shutil.disk_usage(plan.labels.place.directory).free
    if free < needed:
        raise ResourceError(
            f"the soft labels need {human_bytes(needed)} in {plan.labels.place.directory}, "
            f"{human_bytes(free)} are free; make room, or lower views.count"
        )
