"""Texts out of the environment that would end up in an artefact.

An artefact keeps the config that it was made of, and may be handed on; a token that a config reads with
`${oc.env:TOKEN}` must not travel with it. Numbers may (`seed=${oc.decode:${oc.env:SEED}}`). Plain mappings only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from distill_cli.errors import ConfigError

KEPT = ("teacher", "student", "views", "soft_labels", "loss", "temperature_schedule", "alpha_schedule")
NOT_KEPT = ("teacher.checkpoint",)  # a path: its content is hashed
ENVIRONMENT = "${oc.env:"
REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def refuse_secrets(raw: Mapping[str, Any], resolved: Mapping[str, Any]) -> None:
    """`raw` is the config with its interpolations. Raises `ConfigError` naming the key of such a text."""
    for section in KEPT:
        for key, text in _texts(raw.get(section), section):
            value = _at(resolved, key)
            if key not in NOT_KEPT and isinstance(value, str) and _reads_environment(text, raw, depth=8):
                raise ConfigError(
                    f"{key} comes out of the environment and would be kept in the artefact; "
                    "if it is no secret, write its value"
                )


def _texts(node: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(node, Mapping):
        return [found for key, value in node.items() for found in _texts(value, f"{path}.{key}")]
    if isinstance(node, list):
        return [found for number, value in enumerate(node) for found in _texts(value, f"{path}.{number}")]
    return [(path, node)] if isinstance(node, str) else []


def _reads_environment(text: str, raw: Mapping[str, Any], depth: int) -> bool:
    """Itself, or what it refers to."""
    if ENVIRONMENT in text:
        return True
    references = (_at(raw, key) for key in REFERENCE.findall(text)) if depth else ()
    return any(
        _reads_environment(found, raw, depth - 1)
        for reference in references
        for _, found in _texts(reference, "")
    )


def _at(config: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(config, Mapping):
            config = config.get(name)
        elif isinstance(config, list) and name.isdigit() and int(name) < len(config):
            config = config[int(name)]
        else:
            return None
    return config
