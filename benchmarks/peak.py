"""A command's peak memory: `python peak.py FILE VERB WORDS…` runs `distill VERB WORDS…` and fills FILE.

`start` is what the process holds once torch and torchvision are imported (VmRSS), `peak` the most it ever held
(VmHWM). Both are of the process itself, in bytes. Not ru_maxrss: a child inherits that from whoever started it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MIB = 1 << 20


def memory(field: str) -> int:
    """VmRSS or VmHWM of this process in bytes. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))


def peak_of(words: list[str], directory: Path) -> float:
    """The most a command holds beyond a process that has imported torch, in bytes."""
    file = directory / "peak.json"
    done = subprocess.run(
        [sys.executable, __file__, str(file), *words],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    return float(found["peak"] - found["start"])


def main() -> None:
    import torch  # noqa: F401
    import torchvision  # noqa: F401

    start = memory("VmRSS")

    from distill_cli.cli import app

    try:
        app(sys.argv[2:], prog_name="distill")
    finally:
        Path(sys.argv[1]).write_text(json.dumps({"start": start, "peak": memory("VmHWM")}))


if __name__ == "__main__":
    main()
