"""How long a command takes that has nothing or little to compute: wall time of whole processes.

`distill run` is measured where everything is up to date; `distill distill` trains one epoch of the digits,
so what it takes beyond `import torch` is the way to the first step and from the last. As in a normal
installation there is bytecode, whatever this environment says. Run it with `make bench NAME=startup`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import report

TRAINING = ["distill", "student.epochs=1"]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import torch": [sys.executable, "-c", "import torch"],
    "distill --help": ["--help"],
    "distill distill --cfg job": ["distill", "--cfg", "job"],
    "distill run, up to date": ["run"],
    "distill distill, one epoch": TRAINING,
    "distill cache ls": ["cache", "ls"],
}
RUNS = 10
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        measure_once(command(["run"]), directory)  # make everything first
        seconds = {name: measure(command(words), directory) for name, words in COMMANDS.items()}
    report("startup", {f"{name}, s": values for name, values in seconds.items()})


def command(words: list[str]) -> list[str]:
    return words if words[0] == sys.executable else [str(Path(sys.executable).parent / "distill"), *words]


def measure(words: list[str], directory: str) -> list[float]:
    trains = words == command(TRAINING)
    seeds = [[f"seed={1 + number}"] if trains else [] for number in range(RUNS + 1)]
    measure_once([*words, *seeds.pop()], directory)  # bytecode and the file cache
    return [measure_once([*words, *seed], directory) for seed in seeds]


def measure_once(words: list[str], directory: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != NO_BYTECODE}
    started = time.perf_counter()
    subprocess.run(words, cwd=directory, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
