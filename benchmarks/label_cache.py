"""The cache of soft labels on this disk: writing, opening and reading 1,000-class rows in float16.

Writing is compared with `dd conv=fsync`, random reading with `np.memmap`, in turn in one process. The last part is
a simulated ImageNet (1.28 million samples; BENCH_SAMPLES=N for another number): written, verified, read in random
order from its files, extended by one view. Rows are generated; no teacher runs. `make bench NAME=label_cache`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from common import Figures, in_turn, ratios, report

from distill_cli.artifacts.store import Place
from distill_cli.data.splits import ArraySplit, DataSet
from distill_cli.soft_labels.encodings import open_encoding
from distill_cli.soft_labels.label_set import LOGITS, LabelSet
from distill_cli.soft_labels.reader import LabelReader
from distill_cli.soft_labels.shards import audit
from distill_cli.soft_labels.writer import Labelled, WriteBehind

CLASSES, BLOCK, BATCH = 1000, 4096, 256
SAMPLES = int(os.environ.get("BENCH_SAMPLES", 1_281_167))
ROUNDS = 5
FLOAT16 = {"_target_": "distill_cli.soft_labels.encodings.Dense", "dtype": "float16"}


@dataclass(frozen=True)
class Numbered:
    """Samples without pictures: a label set asks for their number and their digests only."""

    size: int

    def __len__(self) -> int:
        return self.size

    def digest(self, start: int, stop: int) -> str:
        return sha256(f"{start}-{stop}".encode()).hexdigest()


def main() -> None:
    torch.set_num_threads(1)  # gathers and checksums: one reader
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        root = Path(folder)
        figures = {**writing(root), **hundred_shards(root), **imagenet(root)}
    report("label_cache", figures)


def writing(root: Path) -> Figures:
    """MB/s of 20 shards of 8 MB, sealed, against `dd` of as many bytes; both until they are on disk."""
    size = 20 * BLOCK * CLASSES * 2
    source = root / "noise"
    source.write_bytes(np.random.default_rng(0).bytes(8 << 20) * (size >> 23))

    def ours() -> float:
        labels = label_set(root / "written", samples=20 * BLOCK, views=1)
        seconds = write(labels)
        shutil.rmtree(root / "written")
        return size / 1e6 / seconds

    def dd() -> float:
        command = ["dd", f"if={source}", f"of={root / 'copy'}", "bs=8M", "conv=fsync", "status=none"]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - started
        (root / "copy").unlink()
        return source.stat().st_size / 1e6 / seconds

    found = in_turn(ROUNDS, ours=ours, dd=dd)
    return {
        "writing sealed shards, MB/s": found["ours"],
        "dd conv=fsync, MB/s": found["dd"],
        "writing, ratio": ratios(found["ours"], found["dd"]),
    }


def hundred_shards(root: Path) -> Figures:
    """Opening and reading 409,600 rows: 819 MB, warm."""
    labels = label_set(root / "hundred", samples=100 * BLOCK, views=1)
    write(labels)
    opening = [seconds(labels.missing) * 1e3 for _ in range(ROUNDS)]
    plain_path = root / "plain.npy"
    plain = np.lib.format.open_memmap(plain_path, "w+", np.float16, (100 * BLOCK, CLASSES))
    for number, block in enumerate(labels.train()):
        plain[number * BLOCK : (number + 1) * BLOCK] = np.load(block.shard(LOGITS).path)
    plain.flush()
    plain = np.load(plain_path, mmap_mode="r")
    batches = random_batches(100 * BLOCK)
    from_files, resident = reader(labels, "false"), reader(labels, "true")

    def ours(labels: LabelReader) -> float:
        return rate(lambda index: labels.logits.take(index, torch.zeros_like(index)), batches)

    found = in_turn(
        ROUNDS,
        from_files=lambda: ours(from_files),
        resident=lambda: ours(resident),
        plain=lambda: rate(lambda index: plain[index.numpy()], batches),
    )
    shutil.rmtree(root / "hundred")
    plain_path.unlink()
    return {
        "checking the seals of 100 shards, ms": opening,
        "random rows, from files, rows/s": found["from_files"],
        "random rows, in memory, rows/s": found["resident"],
        "random rows, np.memmap, rows/s": found["plain"],
        "random rows, from files, ratio": ratios(found["from_files"], found["plain"]),
    }


def imagenet(root: Path) -> Figures:
    """The life of a large label set, once."""
    labels = label_set(root / "imagenet", SAMPLES, views=1)
    written = write(labels)
    shards = [block.shard(LOGITS) for block in labels.train()]
    size = sum(shard.path.stat().st_size for shard in shards)
    checked = seconds(lambda: [audit(shard.seal_path) for shard in shards])
    opened = seconds(lambda: reader(labels, "false"))
    before, from_files = resident_mib(), reader(labels, "false")
    batches = random_batches(SAMPLES)
    rates, memory = [], 0.0
    for _ in range(ROUNDS):
        rates.append(rate(lambda index: from_files.logits.take(index, torch.zeros_like(index)), batches))
        memory = max(memory, resident_mib() - before)
    extended = write(label_set(root / "imagenet", SAMPLES, views=2))
    return {
        f"{SAMPLES:,} samples: size, GB": [size / 1e9],
        "written, s": [written],
        "verified (sha256), s": [checked],
        "opened, s": [opened],
        "random rows, rows/s": rates,
        "memory of the reader, MiB": [memory],
        "extended by one view, s": [extended],
    }


def label_set(root: Path, samples: int, views: int) -> LabelSet:
    empty = ArraySplit(np.empty((0, 1, 1, 1), np.uint8), np.empty(0, np.int64))
    names = tuple(map(str, range(CLASSES)))
    data = DataSet("numbers", names, (0.5,), (0.5,), (1, 1, 1), Numbered(samples), empty, empty)
    place = Place(root, "soft_labels", "generated", {"classes": CLASSES})
    return LabelSet(place, data, views, BLOCK, mixes=False)


def write(labels: LabelSet) -> float:
    """Seconds for all that is missing."""
    rows = np.random.default_rng(0).standard_normal((BLOCK, CLASSES)).astype(np.float16)
    labels.write_identity()
    encoding = open_encoding(FLOAT16, CLASSES)
    missing, started = labels.missing(), time.perf_counter()
    with WriteBehind() as disk:
        for block in missing:
            disk.submit(Labelled(block, {LOGITS: rows[: block.rows]}, encoding, None).write)
    return time.perf_counter() - started


def reader(labels: LabelSet, resident: str) -> LabelReader:
    return LabelReader(labels, open_encoding(FLOAT16, CLASSES), torch.device("cpu"), resident, 1e12)


def random_batches(samples: int) -> list[torch.Tensor]:
    order = np.random.default_rng(0).permutation(samples)[: 400 * BATCH]
    return list(torch.from_numpy(order).split(BATCH))


def rate(take: Callable[[torch.Tensor], object], batches: list[torch.Tensor]) -> float:
    """Rows a second."""
    return sum(map(len, batches)) / seconds(lambda: [len(take(index)) for index in batches])


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
