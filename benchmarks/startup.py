"""How long a command takes that has nothing to compute: wall time of whole processes.

`distill run` is measured where everything is up to date. Run it with `make bench NAME=startup`.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "distill --help": ["--help"],
    "distill distill --cfg job": ["distill", "--cfg", "job"],
    "distill run, up to date": ["run"],
}
RUNS = 10


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        measure_once(command(["run"]), directory)  # make everything first
        rows = {name: measure(command(words), directory) for name, words in COMMANDS.items()}
    print("| command | n | median s | min s | max s |\n|---|---:|---:|---:|---:|")
    for name, seconds in rows.items():
        figures = (statistics.median(seconds), min(seconds), max(seconds))
        print(f"| {name} | {len(seconds)} | " + " | ".join(f"{value:.3f}" for value in figures) + " |")
    RESULTS.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    (RESULTS / "startup.json").write_text(json.dumps({"machine": machine, "seconds": rows}, indent=2))


def command(words: list[str]) -> list[str]:
    return words if words[0] == sys.executable else [str(Path(sys.executable).parent / "distill"), *words]


def measure(words: list[str], directory: str) -> list[float]:
    measure_once(words, directory)  # warm the file cache
    return [measure_once(words, directory) for _ in range(RUNS)]


def measure_once(words: list[str], directory: str) -> float:
    started = time.perf_counter()
    subprocess.run(words, cwd=directory, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
