"""What the tests of `make table` share: benchmarks/ importable, descriptions, and recorded runs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[2]
DESCRIPTIONS = ROOT / "benchmarks/tables"
PAGES = ROOT / "docs/results"
PARTS = (
    "calls",
    "command",
    "expansion",
    "figure",
    "keys",
    "outcome",
    "page",
    "recording",
    "records",
    "runs",
    "settings",
    "text",
)


@contextmanager
def table_modules() -> Iterator[SimpleNamespace]:
    """The modules of benchmarks/tables. Afterwards nobody finds a module of that name, or of benchmarks/."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield SimpleNamespace(**{part: import_module(f"tables.{part}") for part in PARTS})
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
        for name in [name for name in sys.modules if name.partition(".")[0] in ("tables", "common")]:
            del sys.modules[name]


def described(directory: Path, text: str, name: str = "tiny") -> Path:
    """A directory of descriptions, now with this one in it."""
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.yaml").write_text(text, encoding="utf-8")
    return directory


def a_run(name: str, *, teacher: float = 0.9, student: float = 0.8, baseline: float = 0.7, **more) -> dict:
    """As it is recorded, of 1,000 test samples; `name` is in the keys of what is its own."""
    figures = {"teacher": teacher, "student": student, "baseline": baseline}
    return {
        "keys": {"teacher": "t", "soft_labels": "l", "student": f"s-{name}", "baseline": f"b-{name}"},
        "evaluation": f"e-{name}",
        "figures": {
            role: {"top1": top1, "samples": 1000, "parameters": 10} for role, top1 in figures.items()
        },
        "soft_labels": {"views": 2, "bytes": 1_500_000},
        "seconds": {
            "teacher": 100.0,
            "soft_labels": 5.0,
            "student": 60.0,
            "baseline": 30.0,
            "evaluation": 1.0,
        },
        "machine": {"cpu": "A CPU", "device": "cpu", "threads": "2", "precision": "fp32", "python": "3.11"},
        "date": "2026-01-02",
        **more,
    }
