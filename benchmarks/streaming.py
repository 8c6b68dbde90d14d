"""Pictures that stream: how much of what the decoder gives arrives, and what bounds training on it.

Photographs of flowers (JPEG) in the experiment's views. Ours: the product's loader, batches normalised on the
device. Bare: a torch DataLoader over the same files that decodes, augments with the same torchvision recipe and
stacks. Both with the same number of workers, in turn, one epoch each over the same subset.

Then, for information, an epoch of the experiment's student from stored logits with everything `auto`, at the
loader's default number of workers. It is bounded by the slower of decoding alone and the bare student step;
and, where both share the same cores, by the two in sequence: 1 / (1 / decoding + 1 / step).

Without DISTILL_TEST_DATA the pictures are noise, which takes longer to decode. `make bench NAME=streaming`.
Knobs: BENCH_ROUNDS, BENCH_PICTURES.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sized
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bare import rate, ready_batch, student_step
from common import Figures, in_turn, knob, ratios, report
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from workloads import (
    AUTO,
    ENDLESS,
    auto_in_words,
    epoch_of,
    epoch_rate,
    open_plan,
    product_trainer,
    real_data,
    train_student,
    views_loader,
    write_random_labels,
)

from distill_cli.plan import Plan
from distill_cli.stages.jobs.workplace import new_model, open_runtime

ROUNDS, PICTURES = knob("ROUNDS", 5), knob("PICTURES", 1024)
WORKERS, BATCH = (0, 1, 2), 64
EXPERIMENT = ("experiment=flowers", *AUTO, *ENDLESS)


def main() -> None:
    figures: dict[str, list[float]] = {}
    notes: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as directory:
        root = real_data()
        if root is None or not (root / "flowers").is_dir():
            root = write_noise(Path(directory) / "data", PICTURES)
        words = (*EXPERIMENT, f"paths.data={root}")
        for workers in WORKERS:
            plan = subset(open_plan(Path(directory), *words, f"trainer.workers={workers}"))
            found = loading(plan, workers).items()
            figures |= {f"{workers} workers: {what}": list(values) for what, values in found}
        found = training(subset(open_plan(Path(directory), *words)), notes).items()
        figures |= {what: list(values) for what, values in found}
    report("streaming", figures, notes)


def subset(plan: Plan) -> Plan:
    """The same plan with fewer pictures in train, evenly taken."""
    train = plan.data.train
    keep = np.linspace(0, len(train) - 1, min(PICTURES, len(train)) // BATCH * BATCH).astype(np.int64)
    return replace(plan, data=replace(plan.data, train=train.take(keep)))


def loading(plan: Plan, workers: int) -> Figures:
    loader, bare = views_loader(plan), bare_loader(plan, workers)
    epochs = iter(range(1_000_000))

    def ours() -> float:
        with open_runtime(plan).at_work():  # as every stage does
            return images_per_second(epoch_of(loader, next(epochs), BATCH))

    def theirs() -> float:
        return images_per_second(bare)

    ours(), theirs()  # start the workers
    found = in_turn(ROUNDS, ours=ours, bare=theirs)
    return {
        "ours, images/s": found["ours"],
        "decoding and augmenting alone, images/s": found["bare"],
        "ratio": ratios(found["ours"], found["bare"]),
    }


def training(plan: Plan, notes: dict[str, object]) -> Figures:
    write_random_labels(plan)
    trainer = product_trainer(train_student, plan)
    notes["auto is"] = auto_in_words(trainer)
    device = open_runtime(plan).device
    model = new_model(plan, plan.config.student.model, 0)
    batch = plan.config.student.batch_size
    step = student_step(model, ready_batch(batch, plan.data.image_shape, device), len(plan.data.classes))
    bare = bare_loader(plan, workers=torch.get_num_threads())
    measures: dict[str, Callable[[], float]] = {
        "training": lambda: epoch_rate(trainer),
        "decoding": lambda: images_per_second(bare),
        "student": lambda: rate(step, PICTURES // BATCH, batch, device),
    }
    for warm_up in measures.values():
        warm_up()
    found = in_turn(ROUNDS, **measures)
    pairs = list(zip(found["decoding"], found["student"], strict=True))
    return {
        "training: ours, images/s": found["training"],
        "training: decoding alone, images/s": found["decoding"],
        "training: bare student step, images/s": found["student"],
        "training: ours / slower of the two": ratios(found["training"], [min(pair) for pair in pairs]),
        "training: ours / both on the same cores": ratios(
            found["training"], [1 / (1 / a + 1 / b) for a, b in pairs]
        ),
    }


class Decoded(Dataset[Tensor]):
    """A picture file, decoded and augmented."""

    def __init__(self, files: list[Path], size: int, recipe: dict[str, object]) -> None:
        crop = v2.RandomResizedCrop(size, recipe["scale"], recipe["ratio"], antialias=True)
        self.files = files
        self.augment = v2.Compose([v2.PILToTensor(), crop, v2.RandomHorizontalFlip(recipe["flip"])])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.files[index]) as picture:
            augmented: Tensor = self.augment(picture.convert("RGB"))
        return augmented


def bare_loader(plan: Plan, workers: int) -> DataLoader[Tensor]:
    train = plan.data.train
    files = [train.path(index) for index in range(len(train))]  # type: ignore[attr-defined] # pictures
    data = Decoded(files, plan.data.image_shape[1], plan.config.views)
    persistent = workers > 0
    return DataLoader(
        data, BATCH, shuffle=True, num_workers=workers, persistent_workers=persistent, collate_fn=torch.stack
    )


def images_per_second(batches: Iterable[Sized]) -> float:
    started = time.perf_counter()
    images = sum(len(batch) for batch in batches)
    return images / (time.perf_counter() - started)


def write_noise(root: Path, samples: int) -> Path:
    print("noise for flowers: set DISTILL_TEST_DATA to a folder with flowers/ for real pictures")
    random = np.random.default_rng(0)
    for number in range(samples + samples // 8):
        part = "train" if number < samples else "val"
        folder = root / "flowers" / part / f"class {number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (160, 213, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06}.jpg", quality=90)
    return root


if __name__ == "__main__":
    main()
