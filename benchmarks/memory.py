"""How much memory a stage takes with a resident data set: its peak, and the part that grows with the data.

Each stage is a process of its own. Its peak is VmHWM at the end less VmRSS right after `import torch,
torchvision`: pixels, model, activations, everything the product imports and what reading the files takes in
passing, but not torch itself. The data's bytes are the pixels of train and test. Since activations do not grow
with the data, the same stage is run on a tiny data set as well, and the line "per byte of data" is

    (peak - peak with the tiny set) / (bytes - bytes of the tiny set)

Files are CIFAR-100's: noise of 20,000 + 4,000 pictures, or all that is in DISTILL_TEST_DATA (184 MB) with
BENCH_FULL=1. Knobs: BENCH_ROUNDS, BENCH_PICTURES, BENCH_FULL. `make bench NAME=memory`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from cifar_files import write_cifar100
from common import knob, report
from peak import MIB, peak_of

ROUNDS, PICTURES, FULL = knob("ROUNDS", 5), knob("PICTURES", 20_000), knob("FULL", 0)
TINY = 2048  # more than any batch, so that activations have their full size
PIXELS = 3 * 32 * 32  # bytes of a picture
STAGES = ("train-teacher", "gen-soft-labels", "distill", "evaluate")
SHORT = ("teacher=resnet8", "student=resnet8", "teacher.epochs=1", "student.epochs=1", "views.count=1")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        roots = data_roots(Path(directory))
        sizes = {name: bytes_of(root) for name, root in roots.items()}
        peaks = measure(Path(directory), roots)
    figures: dict[str, list[float]] = {"data, MiB": [sizes["full"] / MIB]}
    for stage in STAGES:
        full, tiny = peaks["full", stage], peaks["tiny", stage]
        growth = [
            (one - other) / (sizes["full"] - sizes["tiny"]) for one, other in zip(full, tiny, strict=True)
        ]
        figures |= {
            f"{stage}: peak, MiB": [peak / MIB for peak in full],
            f"{stage}: peak with {TINY} pictures, MiB": [peak / MIB for peak in tiny],
            f"{stage}: peak / data": [peak / sizes["full"] for peak in full],
            f"{stage}: per byte of data": growth,
        }
    report("memory", figures)


def data_roots(directory: Path) -> dict[str, Path]:
    from workloads import real_data

    tiny = write_cifar100(directory / "tiny", TINY, TINY // 4)
    if not FULL:
        return {"full": write_cifar100(directory / "full", PICTURES, PICTURES // 5), "tiny": tiny}
    root = real_data() or write_cifar100(directory / "full", 50_000, 10_000)
    return {"full": root, "tiny": tiny}


def bytes_of(root: Path) -> int:
    """Of the pixels, whatever the pickles hold beside them."""
    from distill_cli.data.torchvision_sets import cifar100

    sets = cifar100(root)
    assert sets.test is not None
    return PIXELS * (len(sets.train) + len(sets.test))


def measure(directory: Path, roots: dict[str, Path]) -> dict[tuple[str, str], list[float]]:
    """Each stage of each size once a round, bytes; a round begins without artefacts."""
    peaks: dict[tuple[str, str], list[float]] = {(name, stage): [] for name in roots for stage in STAGES}
    for number in range(ROUNDS):
        for name, root in roots.items():
            artifacts = directory / "artifacts" / f"{name}-{number}"
            words = ["experiment=cifar100_crd", f"paths.data={root}", f"paths.artifacts={artifacts}", *SHORT]
            for stage in STAGES:
                peaks[name, stage].append(peak_of([stage, *words], directory))
    return peaks


if __name__ == "__main__":
    main()
