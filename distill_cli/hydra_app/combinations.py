"""Several options of one group: `loss=[kd,attention_transfer]`, `teacher=[resnet56,wrn_40_2]`.

Hydra would lay one over the other. So a list is one option with a name of its own, `kd+attention_transfer`. It may
be swept over like any other, and its config is made up when it is asked for: a mapping with a config for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.config_store import ConfigStore

from distill_cli.config.overrides import ALIASES, as_typed
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import config_dir

JOIN = "+"
KEYS = {  # groups of which several options may be named, and where these stand
    "loss": "terms",
    "model": "members",
}
LAYERED = ("logger", "experiment", "sweep")  # groups of which several go together, one over the other
LIST = re.compile(r"\[([^\[\]]*)\]")
SUM = re.compile(r"[^\s,()=]*\+[^\s,()=]*")  # what a list has become, also within `choice(...)`
LONGEST = 60  # of a name: it becomes a part of file names
OF_A_TERM: dict[str, Any] = {"weight": None, "weight_schedule": None}  # what a sum adds to each loss


def combined(override: str) -> str:
    """The override with each list of options as one option, which is made known to Hydra.

    A sum of losses is the same in any order, so its name is.

    Raises `ConfigError` for a list that is none, and for several of what can only be one.
    """
    key, equals, typed = override.partition("=")
    group = _group(key)
    if not equals or typed.lstrip().startswith("{"):
        return override
    if group not in KEYS:
        _refuse_layers(group, as_typed(key), typed)
        return override
    value = LIST.sub(lambda found: JOIN.join(_names(found[1])), typed)
    if "[" in typed and ("[" in value or not value.strip()):
        raise ConfigError(f"{as_typed(override)}: must be a name, or several: {as_typed(key)}=[A,B]")
    for name in SUM.findall(value):
        if not all(name.split(JOIN)):
            raise ConfigError(f"{as_typed(override)}: a name is missing; write {as_typed(key)}=[A,B]")
        if as_typed(key) == "student":
            several = name.replace(JOIN, ",")
            raise ConfigError(f"student=[{several}]: must be one model; for each, with -m: student={several}")
    if group == "loss":
        value = SUM.sub(lambda found: JOIN.join(sorted(found[0].split(JOIN))), value)
    for name in SUM.findall(value):
        _offer(group, name)
    return f"{key}={value}"


def _refuse_layers(group: str, key: str, typed: str) -> None:
    """Several options where one is meant: Hydra would lay them over each other without a word."""
    several = next((_names(found) for found in LIST.findall(typed) if "," in found), None)
    if several and group not in LAYERED and group in _groups():
        raise ConfigError(f"{key}={typed}: must be one name; for each, with -m: {key}={','.join(several)}")


def _groups() -> set[str]:
    return {path.name for path in config_dir().iterdir() if path.is_dir()}


def _names(listed: str) -> list[str]:
    return [word.strip(" '\"") for word in listed.split(",")]


def is_combined(option: str) -> bool:
    """Whether it stands in no directory."""
    return JOIN in option


def _group(key: str) -> str:
    return ALIASES.get(key, key).lstrip("+").partition("@")[0]


def _offer(group: str, name: str) -> None:
    store = ConfigStore.instance()
    store.store(group=group, name=name, node=_node(group, name.split(JOIN)))


def _node(group: str, options: Sequence[str]) -> dict[str, Any]:
    place, names = KEYS[group], list(_distinct(options))
    each = {name: dict(OF_A_TERM) if group == "loss" else {} for name in names}
    return {
        "defaults": [
            "_self_",
            *({f"/{group}@{place}.{name}": option} for option, name in zip(options, names, strict=True)),
        ],
        "name": _name(names),
        **({"hard_weight": None} if group == "loss" else {}),
        place: each,
    }


def _name(names: Sequence[str]) -> str:
    """All of them, where there is room."""
    name = JOIN.join(names)
    return name if len(name) <= LONGEST else f"{names[0][: LONGEST - 4]}{JOIN}{len(names) - 1}"


def _distinct(options: Sequence[str]) -> Iterator[str]:
    """`cnn`, and `cnn-2` where it is named again."""
    for number, option in enumerate(options):
        times = options[:number].count(option)
        yield option if not times else f"{option}-{times + 1}"
