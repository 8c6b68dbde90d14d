"""Several options of one group: `loss=[kd,attention_transfer]`, `teacher=[resnet56,wrn_40_2]`.

Hydra would lay one over the other. So a list is one option with a name of its own, `kd+attention_transfer`. It may
be swept over like any other, and its config is made up when it is asked for: a mapping with a config for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.config_store import ConfigStore

from distill_cli.config.overrides import ALIASES

JOIN = "+"
KEYS = {  # groups of which several options may be named, and where these stand
    "loss": "terms",
    "model": "members",
}
LIST = re.compile(r"\[([^\[\]]*)\]")
OF_A_TERM: dict[str, Any] = {"weight": None, "weight_schedule": None}  # what a sum adds to each loss


def combined(override: str) -> str:
    """The override with each list of options as one option, which is made known to Hydra."""
    key, equals, value = override.partition("=")
    group = _group(key)
    if not equals or group not in KEYS or value.lstrip().startswith("{"):
        return override
    value = LIST.sub(lambda found: JOIN.join(word.strip() for word in found[1].split(",")), value)
    for name in value.split(","):
        if JOIN in name:
            _offer(group, name.strip())
    return f"{key}={value}"


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
        "name": JOIN.join(names),
        **({"hard_weight": None} if group == "loss" else {}),
        place: each,
    }


def _distinct(options: Sequence[str]) -> Iterator[str]:
    """`cnn`, and `cnn-2` where it is named again."""
    for number, option in enumerate(options):
        times = options[:number].count(option)
        yield option if not times else f"{option}-{times + 1}"
