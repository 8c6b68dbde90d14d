"""Texts out of the environment that would end up in an artefact.

An artefact keeps the config that it was made of, and may be handed on; a token that a config reads with
`${oc.env:TOKEN}` must not travel with it. Numbers may (`seed=${oc.decode:${oc.env:SEED}}`). Plain mappings only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from distill_cli.errors import ConfigError

KEPT = (
    "teacher",
    "student",
    "views",
    "soft_labels",
    "loss",
    "temperature_schedule",
    "alpha_schedule",
    "data",
    "assistant",
    "peers",
    "teacher_filter",
)
NOT_KEPT = ("teacher.checkpoint", "student.init", "data.path", "data.file")  # what they name is hashed


def refuse_secrets(raw: Mapping[str, Any], resolved: Mapping[str, Any], secrets: Collection[str]) -> None:
    """`raw` is the config with its interpolations, `secrets` are the texts that resolving them read.

    Raises `ConfigError` naming the key of a text with one in it.
    """
    for section in KEPT:
        for key, text in _texts(resolved.get(section), section):
            has_secret = any(secret in text for secret in secrets)
            if has_secret and key not in NOT_KEPT and _is_interpolated(raw, key.split(".")):
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


def _is_interpolated(raw: Any, path: list[str]) -> bool:
    """Whether the value at a path, or what it lies in, is computed and not written."""
    if isinstance(raw, str) or not path:
        return isinstance(raw, str) and "${" in raw
    below = raw.get(path[0]) if isinstance(raw, Mapping) else raw[int(path[0])]
    return _is_interpolated(below, path[1:])
