"""The settings of a run as trackers show them: flat, as a user types them, and only those that matter to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from distill_cli.config.bias import OPTION
from distill_cli.config.environment import NOT_KEPT
from distill_cli.config.lineage import MEMBERS
from distill_cli.config.loss_terms import TERMS
from distill_cli.config.overrides import TYPED
from distill_cli.config.schema import Config
from distill_cli.config.targets import LABELS, TARGET
from distill_cli.trackers.tracker import Setting

EVERYWHERE = ("data", "views", "device", "precision", "compile")
DISTILLATION = (
    "temperature",
    "alpha",
    "loss",
    "temperature_schedule",
    "alpha_schedule",
    "soft_labels",
    "teacher_source",
    "teacher_filter",
    "assistant",
    "generations",
    "peers",
)
SECTIONS = {
    "teacher": ("teacher", *EVERYWHERE),
    "baseline": ("student", "transfer", "seed", *EVERYWHERE),
    "student": (*DISTILLATION, "student", "transfer", "seed", "teacher", *EVERYWHERE),
}
SECTIONS["report"] = SECTIONS["student"]


def settings_of(config: Config, stage: str) -> dict[str, Setting]:
    """What came to bear on a stage, without paths, which may hold what is nobody's business."""
    composed = asdict(config)
    sections = [section for section in SECTIONS[stage] if composed[section] is not None]
    found = [pair for section in sections for pair in _flatten(section, composed[section])]
    if stage == "report" and (bias := config.evaluate.bias) is not None:  # it changes what is measured
        found.append((OPTION, _as_typed(bias) if isinstance(bias, Mapping) else bias))
    return {key: value for key, value in found if key not in NOT_KEPT}


def _as_typed(mapping: Mapping[Any, Any]) -> str:
    return f"{{{', '.join(f'{key}: {value}' for key, value in mapping.items())}}}"


def _flatten(path: str, node: Any) -> Iterator[tuple[str, Setting]]:
    if isinstance(node, Mapping):
        if {TARGET, TERMS, MEMBERS} & node.keys():
            yield TYPED.get(f"model@{path}", path), _name_of(node)
        for key, value in node.items():
            if key != TARGET and key not in LABELS:
                yield from _flatten(f"{path}.{key}", value)
    elif isinstance(node, Setting):
        yield path, node
    else:
        yield path, json.dumps(node, default=str)


def _name_of(spec: Mapping[str, Any]) -> str:
    return str(spec.get("name") or str(spec.get(TARGET, "")).rpartition(".")[2])
