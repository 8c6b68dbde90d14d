"""What each method of the shelf brings: students of three seeds, beside the same student without a teacher.

Every row is what a user types, `distill run -m loss=NAME seed=0,1,2 …`, with one recipe for all methods and none
tuned for any of them: a row says how a method does out of the box, not how well it can do. Figures are test top-1
of the last epoch. `gap closed` is (student - baseline) / (teacher - baseline) of the means.

Two workloads: the bundled digits, and the first 6,000 pictures of Fashion-MNIST (all 10,000 for testing), which lie
below BENCH_DATA. Writes benchmarks/results/methods-NAME.json a method at a time: what is in it is not run again.
`make bench NAME=methods`. Knobs: BENCH_SEEDS, BENCH_DATA, BENCH_ARTIFACTS.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, knob, machine
from tables.calls import call

from distill_cli.data.torchvision_sets import fashion_mnist
from distill_cli.errors import DistillError

SEEDS = knob("SEEDS", 3)
DATA = Path(os.environ.get("BENCH_DATA", "data"))
ARTIFACTS = Path(os.environ.get("BENCH_ARTIFACTS", "artifacts/bench-methods")).absolute()
PAGE = Path(__file__).parents[1] / "docs/methods.md"
TRAIN = 6_000  # pictures of Fashion-MNIST
QUICK = ("evaluate.latency=false", "evaluate.diagnosis=0", "evaluate.pictures=0", "student.clip_norm=5")
LIGHTER = {"attention_transfer": 10.0, "nst": 1.0, "fitnets": 1.0}

Row = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    name: str
    overrides: tuple[str, ...]
    peer: str  # a model that learns beside the student, or between it and its teacher


def workloads(directory: Path) -> Iterator[Workload]:
    digits = ("student=cnn_tiny", "student.model.widths=[8,16]", "student.epochs=20")
    yield Workload("digits", digits, "cnn_tiny")
    if fashion := _fashion(directory):
        overrides = (
            *("experiment=fashion_mnist", "data=arrays", f"data.file={fashion}", "data.name=fashion_6k"),
            *("teacher=cnn_tiny", "student.model.widths=[8,16,32]", "student.epochs=8", "views.count=8"),
        )
        yield Workload("fashion", overrides, "cnn_tiny")


def methods(workload: Workload) -> dict[str, tuple[str, ...]]:
    """What is typed for each, beside the workload's own overrides."""
    teacher = "cnn_digits" if workload.name == "digits" else "cnn_tiny"
    plain = [path.stem for path in sorted((PAGE.parents[1] / "conf/loss").glob("*.yaml"))]
    own = {"nkd": ("temperature=1",), "lskd": ("temperature=2",), "tf_kd": ("alpha=0.1",)}
    own["self_distillation"] = ("alpha=0.8", "views.mixing=none")
    own["crd"] = ("views.mixing=none",)  # both remember samples, which a mixture is not
    summed: tuple[str, ...] = ()
    if workload.name == "digits":  # published weights are for maps of 32x32: on 8x8 they drown the hard loss
        own |= {loss: (f"loss.weight={weight:g}",) for loss, weight in LIGHTER.items()}
        summed = ("loss.terms.attention_transfer.weight=10",)
    return {
        **{loss: (f"loss={loss}", *own.get(loss, ())) for loss in plain if loss != "lwf"},
        "lskd of dkd": ("loss=lskd", "loss.of=dkd", "temperature=2"),
        "kd + attention_transfer": ("loss=[kd,attention_transfer]", *summed),
        "kd, learned temperature": ("temperature_schedule=learned",),
        "kd, learned per sample": ("temperature_schedule=learned_per_sample",),
        "kd, teacher annealing": ("alpha_schedule=linear",),
        "kd, drop filter": ("teacher_filter=drop",),
        "kd, two teachers": (f"teacher=[{teacher},{teacher}]",),
        "kd, an assistant": (f"assistant={workload.peer}",),
        "kd, 3 generations": ("generations=3",),
        "kd, a peer for a teacher": (f"peers={workload.peer}", "temperature=1", "alpha=0.5"),
    }


def main() -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for workload in workloads(ARTIFACTS):
        if workload.name in (sys.argv[1:] or [workload.name]):
            measure(workload)
    write_page()


def measure(workload: Workload) -> None:
    """Every method that is not in the results yet."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"methods-{workload.name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"rows": {}}
    for label, words in methods(workload).items():
        command = ["run", "-m", f"seed=range(0,{SEEDS})", *workload.overrides, *QUICK, *words]
        if found["rows"].get(label, {}).get("command") != command:
            found["rows"][label] = {"command": command, **run(command)}
            print(label, found["rows"][label], flush=True)
            path.write_text(json.dumps({"machine": machine(), **found}, indent=2) + "\n")


def run(words: list[str]) -> Row:
    """Of each seed the test top-1 of the three models; or why there is none."""
    with tempfile.TemporaryDirectory() as directory:
        places = (
            f"hydra.sweep.dir={directory}",
            f"paths.artifacts={ARTIFACTS}",
            f"paths.data={DATA.absolute()}",
        )
        ended = call([*words, *places], Path(directory), quiet=True)
    if ended.stopped:
        raise SystemExit(ended.stopped)
    done = [result["models"] for result in ended.results if "models" in result]
    figures: Row = {
        role: [models[role]["top1"] for models in done if models.get(role)]
        for role in ("teacher", "student", "baseline")
    }
    if ended.code:
        figures["failed"] = ended.complaint
    return figures


def write_page() -> None:
    """The table of docs/methods.md."""
    found = {
        name: json.loads(path.read_text())["rows"]
        for name in ("digits", "fashion")
        if (path := RESULTS / f"methods-{name}.json").is_file()
    }
    table = "\n".join(_lines(found))
    print(table)
    text, begin, end = PAGE.read_text(), "<!-- methods table: make bench NAME=methods -->", "<!-- end -->"
    if begin in text:
        head, _, rest = text.partition(begin)
        PAGE.write_text(f"{head}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}")


def _lines(found: Mapping[str, Mapping[str, Row]]) -> Iterator[str]:
    yield "| method | " + " | ".join(f"{name} | gap closed" for name in found) + " |"
    yield "|---|" + "---:|---:|" * len(found)
    for role in ("teacher", "baseline"):
        yield _row(role, [_accuracy(rows.get("kd", {}).get(role, [])) for rows in found.values()])
    for label in methods(Workload("any", (), "")):
        cells = [cell for rows in found.values() for cell in _cells(rows.get(label))]
        yield f"| {label} | " + " | ".join(cells) + " |"


def _row(label: str, accuracies: list[str]) -> str:
    return f"| *{label}* | " + " | ".join(f"{accuracy} | " for accuracy in accuracies) + " |"


def _cells(row: Row | None) -> tuple[str, str]:
    if row is None or not row["student"]:
        return ("–", "–") if row is None else ("fails", "–")
    student, baseline, teacher = (statistics.fmean(row[role]) for role in ("student", "baseline", "teacher"))
    if student <= baseline:
        return _accuracy(row["student"]), f"none: {100 * (student - baseline):+.2f} points"
    return _accuracy(row["student"]), f"{(student - baseline) / (teacher - baseline):.0%}"


def _accuracy(values: list[float]) -> str:
    """`97.62 ± 0.51`"""
    if not values:
        return "–"
    spread = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.2f}{spread}"


def _fashion(directory: Path) -> Path | None:
    """The first pictures of Fashion-MNIST as a data set of its own; None where it is not there."""
    try:
        sets = fashion_mnist(DATA)
    except DistillError as error:
        print(f"digits alone: {error} (BENCH_DATA says where data sets lie)")
        return None
    path, train, test = directory / "fashion_6k.npz", sets.train, sets.test
    np.savez(
        path,
        classes=np.array(sets.classes),
        images=train.images[:TRAIN],
        labels=train.labels[:TRAIN],
        test_images=test.images,
        test_labels=test.labels,
    )
    return path


if __name__ == "__main__":
    main()
