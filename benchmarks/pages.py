"""How long tables and pages take: `distill compare` of 200 students, 200 reports, `distill lock`.

One student is trained; the others are its copies under other temperatures and seeds, with accuracies of their own.
Whole commands are timed as processes, reports within one. Run it with `make bench NAME=pages`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from common import knob, report

from distill_cli.artifacts.files import make_directory
from distill_cli.artifacts.store import MANIFEST, Place, read_manifest
from distill_cli.evaluation.report_page import page

STUDENTS = knob("STUDENTS", 200)
RUNS = knob("RUNS", 5)
SEEDS = 5
OURS = ("schema", "kind", "name", "key", "identity", "files")  # of a manifest; the rest is the student's


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        distill(directory, "run", "teacher.epochs=3", "student.epochs=5")
        (student,) = directory.glob("artifacts/students/*-kd-*")
        (written,) = directory.glob("artifacts/evaluations/*/report.json")
        populate(student)
        quick = ("teacher.epochs=3", "student.epochs=5")
        figures = {
            f"distill compare, {STUDENTS} students, s": timed(directory, "compare", "artifacts/students"),
            "distill lock, s": timed(directory, "lock", *quick),
            "distill run --cfg job, s": timed(directory, "run", "--cfg", "job", *quick),
            f"report.html, {STUDENTS} times, s": [pages(written) for _ in range(RUNS)],
        }
    report("pages", figures)


def populate(student: Path) -> None:
    """Copies of a student in the same artifacts directory, until there are STUDENTS of them."""
    manifest = read_manifest(student)
    content = {name: value for name, value in manifest.items() if name not in OURS}
    settings = product(range(1, 1 + -(-STUDENTS // SEEDS)), range(SEEDS))
    for number, (temperature, seed) in zip(range(STUDENTS), settings, strict=False):
        identity = json.loads(json.dumps(manifest["identity"]))
        identity["seed"] = seed
        identity["distillation"]["temperature"]["start"] = 1 + temperature / 2
        metrics = {**content["metrics"], "validation_top1": 0.9 + (number * 7919 % 100) / 2000}
        place = Place(student.parents[1], "students", f"copy-{number}", identity)
        make_directory(place.work)
        for path in student.iterdir():
            if path.name != MANIFEST:
                shutil.copy(path, place.work)
        place.publish({**content, "metrics": metrics})


def pages(written: Path) -> float:
    document = json.loads(written.read_text())
    started = time.perf_counter()
    for _ in range(STUDENTS):
        page(document, {})
    return time.perf_counter() - started


def timed(directory: Path, *words: str) -> list[float]:
    distill(directory, *words)  # bytecode and the file cache
    return [distill(directory, *words) for _ in range(RUNS)]


def distill(directory: Path, *words: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [str(Path(sys.executable).parent / "distill"), *words]
    started = time.perf_counter()
    subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
