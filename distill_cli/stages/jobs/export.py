"""Writing an export, and keeping it only if it computes what the student computes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from distill_cli.export.check import Comparison
from distill_cli.export.destination import Destination
from distill_cli.export.student import Format, Student
from distill_cli.plan import Plan
from distill_cli.runtime.console import say
from distill_cli.runtime.environment import describe_environment
from distill_cli.stages.jobs.workplace import memory_advice
from distill_cli.stages.result import finite_or_null

FORMATS = {
    "onnx": ("onnx_file", "OnnxFile"),
    "torch_export": ("torch_program", "TorchProgram"),
    "hub": ("hub", "HubFolder"),
}


def export(plan: Plan, destination: Destination) -> dict[str, Any]:
    """Figures of the export. Raises `DistillError` where it cannot be made, or differs from the original."""
    settings = plan.config.export
    form = open_format(settings.format)
    with memory_advice("export.samples"), destination.written() as work:
        student = Student.of(plan)
        facts = form.write(student, work)
        comparison = Comparison.of(student, form.open(student, work), settings.samples)
        comparison.hold(settings.tolerance)
        figures = {**vars(comparison), **facts}
        size = destination.describe(work, {**figures, "versions": describe_environment()})
    say(str(comparison))
    return {**finite_or_null(figures), "bytes": size}


def open_format(name: str) -> Format:
    """Imported when it is chosen: each needs other packages."""
    module, kind = FORMATS[name]
    found: Format = getattr(import_module(f"distill_cli.export.{module}"), kind)()
    return found
