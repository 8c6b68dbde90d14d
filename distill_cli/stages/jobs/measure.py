"""Measuring teacher, student and baseline for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_cli.artifacts.files import write_bytes, write_json
from distill_cli.artifacts.store import Place, read_manifest
from distill_cli.evaluation.latency import latency
from distill_cli.evaluation.metrics import Predictions, closeness, predict_all, scores
from distill_cli.evaluation.report import SCHEMA, comparison, markdown
from distill_cli.models.artifact import WEIGHTS
from distill_cli.models.cost import count_macs, count_parameters
from distill_cli.plan import Plan
from distill_cli.runtime.device import Runtime, counted_threads
from distill_cli.stages.ensure import Built
from distill_cli.stages.jobs.workplace import clean_loader, memory_advice, trained_model
from distill_cli.stages.result import finite_or_null

Figures = dict[str, Any]


def measure(plan: Plan, place: Place) -> Built:
    with memory_advice("evaluate.batch_size"):
        models, runtime = _all_models(plan)
    report = finite_or_null(
        {
            "schema": SCHEMA,
            "title": place.label,
            "models": models,
            "comparison": comparison(models),
            "settings": _settings(plan, runtime),
        }
    )
    write_json(place.work / "report.json", report)
    write_bytes(place.work / "report.md", markdown(report).encode())
    student = report["models"]["student"]
    metrics = {name: student.get(name) for name in ("validation_top1", "top1", "agreement", "parameters")}
    return Built({"metrics": {**metrics, **report["comparison"]}}, runtime.describe())


def _all_models(plan: Plan) -> tuple[dict[str, Figures | None], Runtime]:
    """Their figures, and how the student was run."""
    config = plan.config
    teacher, predictions, _ = _one_model(plan, config.teacher.model, plan.teacher, None)
    student, _, runtime = _one_model(plan, config.student.model, plan.student, predictions)
    baseline = None
    if plan.distils and plan.baseline.is_complete():
        baseline, _, _ = _one_model(plan, config.student.model, plan.baseline, predictions)
    return {"teacher": teacher, "student": student, "baseline": baseline}, runtime


def _one_model(
    plan: Plan, spec: Mapping[str, Any], place: Place, teacher: Predictions | None
) -> tuple[Figures, Predictions, Runtime]:
    settings = plan.config.evaluate
    model, runtime = trained_model(plan, spec, place, settings.batch_size)
    with runtime.at_work():
        predictions = predict_all(
            model, clean_loader(plan, plan.data.test, runtime), runtime, settings.batch_size
        )
        timed = latency(model, plan.data.image_shape, runtime) if settings.latency else {}
    figures = {
        "artifact": place.name,
        **scores(predictions, settings.ece_bins),
        **(closeness(predictions, teacher) if teacher is not None else {}),
        "validation_top1": read_manifest(place.directory)["metrics"].get("validation_top1"),
        "parameters": count_parameters(model),
        "macs": count_macs(model, plan.data.image_shape),
        "precision": runtime.describe()["precision"],
        "file_bytes": (place.directory / WEIGHTS).stat().st_size,
        **timed,
    }
    return figures, predictions, runtime


def _settings(plan: Plan, runtime: Runtime) -> dict[str, str]:
    config, machine = plan.config, runtime.describe()
    return {
        "data": f"{plan.data.name}, {len(plan.data.test):,} test pictures",
        "loss": str(config.loss.get("name", "")) if plan.distils else "hard labels alone",
        "temperature": f"{config.temperature:g}",
        "alpha": f"{config.alpha:g}",
        "seed": str(config.student.seed),
        "epoch": f"last of {config.student.epochs}",
        "device": f"{machine['device']}, {machine['precision']}, {counted_threads(machine['threads'])}",
    }
