"""The model card of a student: what it is, how good, how it was made, how to load it. No torch.

Its figures are those of the report. Without a report there are the two that the student itself knows.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.store import BUILD_NOTES, Place, read_manifest, verified
from distill_cli.config.overrides import section_of
from distill_cli.config.targets import TARGET
from distill_cli.plan import Plan

if TYPE_CHECKING:
    from jinja2 import Template

ROLES = ("student", "baseline", "teacher")
ROWS = (
    ("test accuracy", "top1", "{:.2%}"),
    ("test top-5 accuracy", "top5", "{:.2%}"),
    ("test NLL (nats)", "nll", "{:.4f}"),
    ("test calibration error", "ece", "{:.2%}"),
    ("agrees with the teacher", "agreement", "{:.2%}"),
    ("parameters", "parameters", "{:,}"),
    ("multiply-adds", "macs", "{:,}"),
)
# Sections of the config that say nothing to a reader.
OF_THAT_MACHINE = {"paths", "hydra", "device", "compile"}
OF_THAT_DAY = {"export", "format", "logger", "gates", "lock", "trainer", "evaluate"}
CONFIG_DIR = "--config-dir"  # and its directory, the next word
QUOTES = "'\""  # of Hydra's grammar

Models = dict[str, Mapping[str, Any]]


def card(plan: Plan) -> str:
    """README.md, front matter included."""
    models = _models(plan)
    return _template().render(
        title=plan.student.label,
        data=plan.data,
        samples={
            **{name: len(split) for name, split in plan.data.splits.items()},
            "train": len(plan.transfer),
        },
        accuracy=models["student"].get("top1"),
        roles=list(models),
        rows=_rows(models),
        is_taught=plan.is_taught,
        distilled=_distilled(plan) if plan.distils else {},
        trained=_trained(plan),
        key=plan.student.key,
        **_build(plan.student),
    )


def _models(plan: Plan) -> Models:
    """The figures of each model that there are figures of; the student's always."""
    place = plan.evaluation()
    if place.is_complete():
        report = read_json(verified(place.directory, "report.json"))
        found = dict(report.get("models", {}))
        if "bias" in report:  # which is the report's, and not in the weights
            found["student"] = _uncorrected(found["student"])
        return {role: found[role] for role in ROLES if found.get(role)}
    metrics = read_manifest(plan.student.directory)["metrics"]
    return {"student": {"top1": metrics.get("test_top1"), "parameters": metrics.get("parameters")}}


def _uncorrected(student: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of it as it was trained."""
    return {
        "top1": student["top1_uncorrected"],
        **{name: student.get(name) for name in ("parameters", "macs")},
    }


def _rows(models: Models) -> list[list[str]]:
    rows = [
        [title, *(_cell(model.get(figure), form) for model in models.values())]
        for title, figure, form in ROWS
    ]
    return [row for row in rows if any(row[1:])]


def _cell(value: Any, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) else ""


def _distilled(plan: Plan) -> dict[str, str]:
    """What it learned from beside the labels."""
    config = plan.config
    temperature = _scheduled(config.temperature, config.temperature_schedule)
    alpha = f"{_scheduled(config.alpha, config.alpha_schedule)}: the weight of the soft loss"
    return {
        **(_teachers(plan) if plan.is_taught else {}),
        **({"peers": " and ".join(map(_named, plan.peers))} if plan.peers else {}),
        "loss": _named(config.loss),
        **({"temperature": temperature} if plan.uses_temperature else {}),
        **({"alpha": alpha} if plan.uses_alpha else {}),
    }


def _teachers(plan: Plan) -> dict[str, str]:
    """From the first of all to the one before the student."""
    first, of_filter = plan.first, plan.config.teacher_filter
    names = [member.teacher.name for member in first.members]
    of, weights = first.average
    averaged = f", the mean of their {of} with weights {', '.join(f'{w:.3g}' for w in weights)}"
    return {
        "teacher": " and ".join(names) + (averaged if len(names) > 1 else ""),
        **{link.role: link.student.name for link in plan.links[:-1]},
        "soft labels": "of the teacher beside it" if plan.teacher_is_online else "stored",
        **({"teacher filter": _named(of_filter)} if of_filter else {}),
    }


def _trained(plan: Plan) -> dict[str, str]:
    config, recipe = plan.config, plan.config.student
    count = config.views["count"]
    stored = "a new view in every epoch" if count is None else f"stored views of a sample: {count}"
    names = [_named(spec) for spec in (config.views, config.views.get("mixing") or {})]
    return {
        "architecture": _named(recipe.model),
        "views": f"{' + '.join(name for name in names if name not in ('', 'none')) or 'none'}, {stored}",
        **({} if plan.transfer.is_whole else {"transfer set": str(plan.transfer)}),
        "epochs": f"{recipe.epochs}, the last one kept",
        "batch size": str(recipe.batch_size),
        "optimizer": f"{_named(recipe.optimizer)}, learning rate {recipe.optimizer['lr']:g}",
        "seed": str(recipe.seed),
    }


def _named(spec: Mapping[str, Any]) -> str:
    return str(spec.get("name") or str(spec.get(TARGET, "")).rpartition(".")[2])


def _scheduled(start: float, schedule: Mapping[str, Any]) -> str:
    kind = _named(schedule).lower()
    return f"{start:g}" if kind == "constant" else f"{start:g}, {kind} schedule"


def _build(student: Place) -> dict[str, Any]:
    """The command that made it, without what was about that machine, and the versions it ran on."""
    notes = _notes_of(student)
    words = shlex.split(notes.get("command", ""))
    environment = notes.get("environment", {})
    versions = [
        f"{name} {environment[name]}" for name in ("distill_cli", "torch", "python") if name in environment
    ]
    return {
        "command": shlex.join(_portable(words)),
        "has_own_config": CONFIG_DIR in words,
        "versions": ", ".join(versions),
    }


def _notes_of(student: Place) -> dict[str, Any]:
    """Of its build. No hash covers them, and a student is one without them."""
    path = student.directory / BUILD_NOTES
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    return found


def _portable(words: Sequence[str]) -> Iterator[str]:
    """The words that mean something elsewhere; of a file or directory of that machine only the name."""
    for before, word in pairwise(["", *words]):
        if CONFIG_DIR not in (before, word) and section_of(word) not in OF_THAT_MACHINE | OF_THAT_DAY:
            value = word.partition("=")[2].strip(QUOTES)
            yield word.replace(value, Path(value).name) if value.startswith(("/", "~")) else word


def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("distill_cli.export"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = lambda value: json.dumps(value, ensure_ascii=False)  # which is YAML, too
    return environment.get_template("card.md")
