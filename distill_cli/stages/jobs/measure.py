"""Measuring teacher, student and baseline for the report.

A model is run over the test samples once. The teacher is not run at all where its soft labels hold what it says to
them: whether they do is in the report's key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from distill_cli.artifacts.files import read_json, write_bytes, write_json
from distill_cli.artifacts.store import Place, read_manifest, verified
from distill_cli.config.bias import bias_text
from distill_cli.config.targets import instantiate
from distill_cli.data.splits import Split
from distill_cli.evaluation.bias import corrected, settled
from distill_cli.evaluation.diagnosis import diagnose
from distill_cli.evaluation.disagreements import shown
from distill_cli.evaluation.latency import latency
from distill_cli.evaluation.metrics import Predictions, closeness, predict_all, scores
from distill_cli.evaluation.provenance import provenance
from distill_cli.evaluation.report import REPORT, ROLES, SCHEMA, comparison, markdown
from distill_cli.evaluation.report_page import page, pictures_of
from distill_cli.evaluation.sections import paired, sections, trust
from distill_cli.losses.averaging import Average
from distill_cli.models.artifact import WEIGHTS
from distill_cli.models.cost import count_macs, count_parameters
from distill_cli.models.ensemble import Ensemble
from distill_cli.plan import Plan
from distill_cli.runtime.device import Runtime, counted_threads
from distill_cli.schedules import Learned
from distill_cli.soft_labels.encodings import open_encoding
from distill_cli.soft_labels.reader import clean_logits
from distill_cli.stages.ensure import Built
from distill_cli.stages.jobs.chain import chain
from distill_cli.stages.jobs.evidence import gather
from distill_cli.stages.jobs.train import HISTORY
from distill_cli.stages.jobs.workplace import (
    clean_loader,
    memory_advice,
    runtime_for,
    student_spec,
    teacher_spec,
    trained_model,
)
from distill_cli.stages.result import finite_or_null

Figures = dict[str, Any]
Opened = tuple[nn.Module, Runtime]  # on the device, in eval mode; and how it is run


@dataclass(frozen=True)
class Measured:
    """One model over the test samples, and how it was run."""

    figures: Figures
    predictions: Predictions
    runtime: Runtime
    bias: Mapping[str, float] = field(default_factory=dict)  # what was added to its logits
    uncorrected: Measured | None = None  # without that

    @property
    def as_trained(self) -> Measured:
        return self.uncorrected or self


def measure(plan: Plan, place: Place, command: str) -> Built:
    """The report of `place`, whose identity says what is read; `command` makes it all from nothing."""
    with memory_advice("evaluate.batch_size"):
        student = _opened(plan, student_spec(plan), plan.student)
        measured = _all_models(plan, place, student)
        report = finite_or_null(_report(plan, place, command, measured, student))
    write_json(place.work / REPORT, report)
    report = read_json(place.work / REPORT)  # what is shown is what is written, in its order
    pictures = pictures_of(plan.data, shown(report["disagreements"]))
    write_bytes(place.work / "report.md", markdown(report).encode())
    write_bytes(place.work / "report.html", page(report, pictures).encode())
    student, compared = report["models"]["student"], report["comparison"]
    metrics = {name: student.get(name) for name in ("validation_top1", "top1", "agreement", "parameters")}
    if "top1_uncorrected" in student:
        metrics["top1_uncorrected"] = student["top1_uncorrected"]
    numbers = {name: value for name, value in compared.items() if name != "mcnemar"}
    return Built({"metrics": {**metrics, **numbers}}, measured["student"].runtime.describe())


def _report(
    plan: Plan, place: Place, command: str, measured: Mapping[str, Measured], opened: Opened
) -> dict[str, Any]:
    settings = plan.config.evaluate
    models = {role: measured[role].figures if role in measured else None for role in ROLES}
    answers = {role: measured[role].predictions.answers if role in measured else None for role in ROLES}
    student = answers["student"]
    assert student is not None
    parts = sections(answers, plan.data.classes, ece_bins=settings.ece_bins, pictures=settings.pictures)
    made_from = _made_from(plan, place)
    return {
        "schema": SCHEMA,
        "title": place.label,
        "command": command,
        "models": models,
        "comparison": comparison(models, paired(student, answers["baseline"])),
        **_chain(plan, measured),
        "settings": _settings(plan, place, measured["student"]),
        **({"bias": measured["student"].bias} if plan.bias else {}),
        **parts,
        "curves": {role: _history(made_from[role]) if role in made_from else [] for role in ROLES},
        "provenance": provenance({**made_from, "report": place}, with_notes=settings.latency),
        **_diagnosis(plan, opened, {**models, "student": measured["student"].as_trained.figures}),
    }


def _all_models(plan: Plan, place: Place, student: Opened) -> dict[str, Measured]:
    first = plan.first
    known = _cached(first) if place.identity["teacher_logits"] else None
    files = [member.teacher for member in first.members]
    teacher = _one_model(plan, first.teacher, _teacher(first), files, known=known)
    found = {"teacher": teacher}
    found["student"] = _student(plan, student, teacher.predictions)
    if plan.distils and place.identity["baseline"]:
        baseline = _opened(plan, plan.config.student.model, plan.baseline)
        found["baseline"] = _one_model(plan, plan.baseline, baseline, teacher=teacher.predictions)
    return found


def _student(plan: Plan, opened: Opened, teacher: Predictions) -> Measured:
    """With a bias on its logits, where one is asked for: that changes every figure of what it says."""
    if not plan.bias:
        return _one_model(plan, plan.student, opened, teacher=teacher)
    classes, ece_bins = plan.data.classes, plan.config.evaluate.ece_bins
    test, held_out = _said(plan, opened, plan.data.test), plan.data.validation
    validation = _said(plan, opened, held_out) if len(held_out) else None
    bias = settled(plan.bias, validation, classes)
    plain = _one_model(plan, plan.student, opened, known=test, teacher=teacher)
    known = corrected(test, bias, classes)
    figures = {
        **plain.figures,
        **_of_what_is_said(known, teacher, ece_bins),
        "top1_uncorrected": plain.figures["top1"],
    }
    if validation is not None:
        figures["validation_top1"] = scores(corrected(validation, bias, classes), ece_bins)["top1"]
    return Measured(figures, known, plain.runtime, bias, plain)


def _said(plan: Plan, opened: Opened, split: Split) -> Predictions:
    """By a model, to the clean samples of a part."""
    model, runtime = opened
    with runtime.at_work():
        return predict_all(
            model, clean_loader(plan, split, runtime), runtime, plan.config.evaluate.batch_size
        )


def _teacher(plan: Plan) -> Opened:
    """The teacher; several of them as one model."""
    opened = [_opened(member, teacher_spec(member), member.teacher) for member in plan.members]
    if len(opened) == 1:
        return opened[0]
    together = Ensemble([model for model, _ in opened], Average(*plan.average)).eval()
    return together, runtime_for(plan, together, plan.config.evaluate.batch_size)


def _opened(plan: Plan, spec: Mapping[str, Any], place: Place) -> Opened:
    return trained_model(plan, spec, place, plan.config.evaluate.batch_size)


def _cached(plan: Plan) -> Predictions:
    """What the teacher says to the test samples, as its soft labels have it."""
    encoding = open_encoding(plan.config.soft_labels, len(plan.data.classes))
    logits = clean_logits(plan.labels, encoding, "test")
    return Predictions(logits.double(), torch.from_numpy(plan.data.test.labels))


def _one_model(
    plan: Plan,
    place: Place,
    opened: Opened,
    places: Sequence[Place] = (),
    *,
    known: Predictions | None = None,
    teacher: Predictions | None = None,
) -> Measured:
    """`places`: where its members lie. `known`: what it says, where that need not be computed. `teacher`: what its
    teacher says."""
    settings, data = plan.config.evaluate, plan.data
    model, runtime = opened
    with runtime.at_work():
        predictions = known or predict_all(
            model, clean_loader(plan, data.test, runtime), runtime, settings.batch_size
        )
        timed = latency(model, data.image_shape, runtime) if settings.latency else {}
    figures = {
        "artifact": place.name,
        **_of_what_is_said(predictions, teacher, settings.ece_bins),
        "validation_top1": _validation(plan, place, model, runtime),
        "parameters": count_parameters(model),
        "macs": count_macs(model, data.image_shape),
        "precision": runtime.describe()["precision"],
        "file_bytes": sum((at.directory / WEIGHTS).stat().st_size for at in places or (place,)),
        **timed,
    }
    return Measured(figures, predictions, runtime)


def _of_what_is_said(said: Predictions, teacher: Predictions | None, ece_bins: int) -> Figures:
    close = closeness(said, teacher) if teacher is not None else {}
    return {**scores(said, ece_bins), **trust(said.answers), **close}


def _validation(plan: Plan, place: Place, model: nn.Module, runtime: Runtime) -> float | None:
    """As its artefact has it; that of an ensemble, which has none, is measured."""
    if place.is_complete():
        found: float | None = read_manifest(place.directory)["metrics"].get("validation_top1")
        return found
    if not len(plan.data.validation):
        return None
    settings, loader = plan.config.evaluate, clean_loader(plan, plan.data.validation, runtime)
    top1: float = scores(predict_all(model, loader, runtime, settings.batch_size), settings.ece_bins)["top1"]
    return top1


def _chain(plan: Plan, measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Nothing where the teacher taught the student itself."""
    if plan.taught_by is None:
        return {}
    teacher, student = (measured[role].as_trained.predictions for role in ("teacher", "student"))
    return {"chain": chain(plan, teacher, student)}


def _diagnosis(plan: Plan, student: Opened, models: Mapping[str, Figures | None]) -> dict[str, Any]:
    """Why the student stays behind; nothing where that is not asked for, or where no teacher taught it."""
    if not (plan.config.evaluate.diagnosis and plan.is_taught):
        return {"evidence": {}, "diagnosis": []}
    evidence = gather(plan, *student, models)
    return {
        "evidence": evidence.document(),
        "diagnosis": [found.document() for found in diagnose(evidence)],
    }


def _made_from(plan: Plan, place: Place) -> dict[str, Place]:
    """What the report is about, in the order in which it was made."""
    found = _numbered("teacher", [member.teacher for member in plan.first.members])
    for link in plan.links:
        whose = f" of {link.taught_by.role}" if link.taught_by else ""
        if link.reads_labels:
            found |= _numbered(f"soft labels{whose}", [member.labels.place for member in link.members])
        found["student" if link is plan else link.role] = link.student
    has_baseline = plan.distils and place.identity["baseline"]
    return {**found, **({"baseline": plan.baseline} if has_baseline else {})}


def _numbered(what: str, places: Sequence[Place]) -> dict[str, Place]:
    """`teacher`; or `teacher 1`, `teacher 2`."""
    if len(places) == 1:
        return {what: places[0]}
    return {f"{what} {number}": place for number, place in enumerate(places, 1)}


def _history(place: Place) -> list[dict[str, float]]:
    history: list[dict[str, float]] = read_json(verified(place.directory, HISTORY))
    return history


def _settings(plan: Plan, place: Place, student: Measured) -> dict[str, str]:
    config, machine = plan.config, student.runtime.describe()
    learned = isinstance(instantiate(config.temperature_schedule), Learned)
    temperature = f"{config.temperature:g}{', learned from there' if learned else ''}"
    cached = (
        f"from its soft labels, {config.soft_labels['dtype']}" if place.identity["teacher_logits"] else ""
    )
    return {
        "data": plan.test_part,
        **({} if plan.transfer.is_whole else {"transfer set": str(plan.transfer)}),
        **({"bias": bias_text(plan.bias, student.bias, len(plan.data.validation))} if plan.bias else {}),
        "loss": str(config.loss.get("name", "")) if plan.distils else "hard labels alone",
        "temperature": temperature if plan.uses_temperature else "not used",
        "alpha": f"{config.alpha:g}" if plan.uses_alpha else "not used",
        "seed": str(config.student.seed),
        "epoch": f"last of {config.student.epochs}",
        "teacher's test logits": cached or "computed here",
        "device": f"{machine['device']}, {machine['precision']}, {counted_threads(machine['threads'])}",
    }
