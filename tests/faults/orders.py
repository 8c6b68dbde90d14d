"""What tests and the nursery tell each other."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from operations import Fault, Operation

NURSERY = Path(__file__).with_name("nursery.py")


@dataclass(frozen=True)
class Order:
    """A command in a directory, and what shall go wrong with it."""

    directory: Path
    verb: str
    words: tuple[str, ...]
    fault: Fault | None = None
    below: str = "artifacts"  # where operations count
    output: str = "output"  # its output directory
    user: int | None = None  # who runs it
    patches: tuple[str, ...] = field(default=())  # functions of patches.py, called before

    @property
    def report(self) -> Path:
        """How it ended."""
        return self.directory / f"{self.output}.report"

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "directory": str(self.directory)}


class Ended(NamedTuple):
    """How a command ended. A child that was killed reports nothing: its signal is the negative code."""

    code: int
    stderr: str = ""
    result: Mapping[str, Any] = {}  # result.json, where it was written
    log: tuple[Operation, ...] = ()
    struck: tuple[str, ...] = ()  # paths of operations that were made to fail

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("distill: error: ")]


class Nursery:
    """The process of nursery.py, seen from the tests."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(NURSERY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        )

    def _ask(self, question: Any) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def start(self, *orders: Order) -> int:
        """The number of a new process that carries out the orders, one after the other."""
        for order in orders:
            order.report.unlink(missing_ok=True)
        return self._ask([order.document() for order in orders])

    def wait(self, process: int, *orders: Order) -> list[Ended]:
        code = self._ask(process)
        reports = [order.report for order in orders]
        return [pickle.loads(r.read_bytes()) if r.exists() else Ended(code) for r in reports]

    def carry_out(self, orders: Sequence[Order]) -> list[Ended]:
        """One process for all of them."""
        return self.wait(self.start(*orders), *orders)

    def run(self, order: Order) -> Ended:
        return self.carry_out([order])[0]

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
