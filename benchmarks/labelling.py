"""What gen-soft-labels costs beyond the teacher: rows a second against the bare forward pass, in turn.

Ours: views drawn and applied, teacher, encoding and its measured error, sealed shards on disk. Bare: the teacher
alone on batches that are ready in memory. Same precision, batch size and memory format. The pictures are noise of
the data set's shape, since their content costs nothing, and teachers are untrained. `make bench NAME=labelling`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Figures, in_turn, ratios, report

from distill_cli.artifacts.store import Place
from distill_cli.data.loader import Loader
from distill_cli.data.splits import ArraySplit, DataSet
from distill_cli.data.views.views import open_views
from distill_cli.models.build import build_model
from distill_cli.models.predict import predict
from distill_cli.runtime.device import Runtime, resolve
from distill_cli.soft_labels.encodings import open_encoding
from distill_cli.soft_labels.label_set import LOGITS, LabelSet
from distill_cli.soft_labels.writer import Labeller, WriteBehind

ROUNDS = 5
BATCH = 256
DEVICE = os.environ.get("BENCH_DEVICE", "auto")
PRECISION = os.environ.get("BENCH_PRECISION", "bf16")
FLOAT16 = {"_target_": "distill_cli.soft_labels.encodings.Dense", "dtype": "float16"}
CROP_FLIP = {
    "_target_": "distill_cli.data.views.recipes.CropFlip",
    "padding": 4,
    "flip": 0.5,
    "seed": 0,
    "count": 1,
}
BLOCKS = int(os.environ.get("BENCH_BLOCKS", 2))  # of a round; a GPU wants more
CASES: dict[
    str, tuple[int, tuple[int, int, int], int, Mapping[str, Any]]
] = {  # classes, shape, block, teacher
    "Fashion-MNIST, cnn_fashion": (
        10,
        (1, 28, 28),
        4096,
        {
            "_target_": "distill_cli.models.cnn.Cnn",
            "widths": [32, 64, 128],
            "convs_per_stage": 2,
            "pool": 2,
            "hidden": 0,
            "batch_norm": True,
            "dropout": 0.2,
        },
    ),
    "CIFAR-100, resnet32x4": (
        100,
        (3, 32, 32),
        512,
        {
            "_target_": "distill_cli.models.cifar_resnet.CifarResNet",
            "depth": 32,
            "widths": [32, 64, 128, 256],
        },
    ),
}


def main() -> None:
    figures: dict[str, list[float]] = {}
    for name, (classes, shape, block, spec) in CASES.items():
        figures |= {
            f"{name}: {what}": values for what, values in measure(classes, shape, block, spec).items()
        }
    report("labelling", figures)


def measure(classes: int, shape: tuple[int, int, int], block: int, spec: Mapping[str, Any]) -> Figures:
    runtime = resolve(DEVICE, PRECISION, "false")
    teacher = runtime.place(build_model(spec, num_classes=classes, image_shape=shape, seed=0)).eval()
    rows = BLOCKS * block
    data = noise(classes, shape, rows)
    loader = Loader(data.train, data, runtime.device, open_views(CROP_FLIP, shape[1:]))
    ready = torch.randn(BATCH, *shape, device=runtime.device)
    labeller = Labeller(teacher, open_encoding(FLOAT16, classes), runtime, BATCH, lambda samples: None)

    def ours() -> float:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as root:
            place = Place(Path(root), "soft_labels", "noise", {})
            labels = LabelSet(place, data, views=1, block=block, mixes=False)
            wanted, started = list(labels.train()), time.perf_counter()
            with WriteBehind() as disk:
                for part in wanted:
                    disk.submit(labeller.label(part, [LOGITS], loader).write)
            return rows / (time.perf_counter() - started)

    def bare() -> float:
        started = time.perf_counter()
        for _ in range(rows // BATCH):
            predict(teacher, ready, runtime)
        wait_for(runtime)
        return rows / (time.perf_counter() - started)

    bare()  # warm up
    found = in_turn(ROUNDS, ours=ours, bare=bare)
    return {
        "gen-soft-labels, rows/s": found["ours"],
        "bare teacher, rows/s": found["bare"],
        "ratio": ratios(found["ours"], found["bare"]),
    }


def noise(classes: int, shape: tuple[int, int, int], samples: int) -> DataSet:
    images = np.random.default_rng(0).integers(0, 256, (samples, *shape), dtype=np.uint8)
    split, empty = (
        ArraySplit(images, np.zeros(samples, np.int64)),
        ArraySplit(images[:0], np.zeros(0, np.int64)),
    )
    mean = (0.5,) * shape[0]
    return DataSet("noise", tuple(map(str, range(classes))), mean, mean, shape, split, empty, empty)


def wait_for(runtime: Runtime) -> None:
    if runtime.device.type == "cuda":
        torch.cuda.synchronize(runtime.device)


if __name__ == "__main__":
    main()
