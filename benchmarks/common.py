"""What the benchmarks share: the machine in words, tables with n, median, min and max, and results as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
Figures = Mapping[str, Sequence[float]]  # a question in words, and what was measured each time


def machine() -> dict[str, object]:
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def cpu_name() -> str:
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ": unknown")
    return model.partition(":")[2].strip()


def knob(name: str, default: int) -> int:
    """The environment's BENCH_NAME: how much is measured, not what."""
    return int(os.environ.get(f"BENCH_{name}", default))


def report(name: str, figures: Figures, notes: Mapping[str, object] | None = None) -> None:
    """Print a table and write benchmarks/results/NAME.json; `notes` are what was chosen, in words."""
    print("| what | n | median | min | max |\n|---|---:|---:|---:|---:|")
    for what, values in figures.items():
        numbers = " | ".join(_short(value) for value in (statistics.median(values), min(values), max(values)))
        print(f"| {what} | {len(values)} | {numbers} |")
    for what, note in (notes or {}).items():
        print(f"{what}: {note}")
    RESULTS.mkdir(exist_ok=True)
    content = {
        "machine": machine(),
        **({"notes": dict(notes)} if notes else {}),
        "figures": {what: list(values) for what, values in figures.items()},
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def in_turn(rounds: int, **measures: Callable[[], float]) -> dict[str, list[float]]:
    """Each measure once a round, so that noise of the machine hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Of measures taken in the same round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
