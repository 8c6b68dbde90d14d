"""How long a command takes that has nothing to compute: wall time of whole processes.

`distill run` is measured where everything is up to date. Run it with `make bench NAME=startup`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import report

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "distill --help": ["--help"],
    "distill distill --cfg job": ["distill", "--cfg", "job"],
    "distill run, up to date": ["run"],
    "distill cache ls": ["cache", "ls"],
}
RUNS = 10


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        measure_once(command(["run"]), directory)  # make everything first
        seconds = {name: measure(command(words), directory) for name, words in COMMANDS.items()}
    report("startup", {f"{name}, s": values for name, values in seconds.items()})


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
