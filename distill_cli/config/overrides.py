"""What users type and what Hydra needs: `student=resnet8` is `model@student.model=resnet8`.

Both directions, because messages and completion speak the user's words. Only the choice of a group is
rewritten: `student.optimizer.lr=0.1` is Hydra's already, `student={epochs: 3}` a mapping to merge, and
`teacher.views=null` a value, because no option of a group is called null.

One mapping holds what a user puts there: `evaluate.bias={3: 3.5}` replaces all of an experiment's, and goes through
Hydra as a text, because Hydra would merge the two. `evaluate.bias.3=2` is added to what is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from distill_cli.errors import ConfigError

ALIASES = {
    "teacher": "model@teacher.model",
    "student": "model@student.model",
    "assistant": "model@assistant",
    "peers": "model@peers",
    "loss.of": "loss@loss.of",
    "teacher.optimizer": "optimizer@teacher.optimizer",
    "student.optimizer": "optimizer@student.optimizer",
    "teacher.lr_schedule": "lr_schedule@teacher.lr_schedule",
    "student.lr_schedule": "lr_schedule@student.lr_schedule",
    "teacher.views": "views@teacher.views",
    "views.mixing": "mixing@views.mixing",
    "format": "export.format",
}
TYPED = {hydra: typed for typed, hydra in ALIASES.items()}
FREE = "evaluate.bias"
MAPPING = re.compile(r"""(?<![$"])\{(?:[^{}]|\$\{[^{}]*\})*\}""")  # with `${seed}` in it
QUOTED = re.compile(r'"(\{.*?\})"')


def as_hydra(override: str) -> str:
    """The override that Hydra understands."""
    key, equals, value = override.partition("=")
    if key == FREE:
        return MAPPING.sub(r'"\g<0>"', override)
    if key.startswith(f"{FREE}."):
        return f"++{override}"
    if key == f"~{FREE}":
        return f"{FREE}=null"
    if value.lstrip().startswith("{") or value in ("null", "???"):
        return override
    return f"{_named(key, ALIASES)}{equals}{value}"


def as_typed(override: str) -> str:
    """The override, or a key alone, as a user would type it. A sweep's jobs have `~key=null` for `~key`."""
    key, equals, value = override.partition("=")
    if key == FREE:
        return QUOTED.sub(r"\1", override)
    if key.startswith(f"++{FREE}."):
        return override.removeprefix("++")
    if key.startswith("~") and value == "null":
        return _named(key, TYPED)
    return f"{_named(key, TYPED)}{equals}{value}"


def check_free(overrides: Sequence[str]) -> None:
    """Raises `ConfigError` for `evaluate.bias=… evaluate.bias.3=2`, of which Hydra would drop the first."""
    whole = next((o for o in overrides if o.startswith(f"{FREE}=") and o != f"{FREE}=null"), None)
    part = next((o for o in overrides if bare_key(o).startswith(f"{FREE}.")), None)
    if whole and part:
        raise ConfigError(
            f"{part}: goes with that of an experiment, not with {whole}; put all classes into {FREE}={{…}}"
        )


def _named(key: str, names: Mapping[str, str]) -> str:
    mark = "~" if key.startswith("~") else ""
    bare = key.removeprefix(mark)
    return mark + names.get(bare, bare)


def bare_key(override: str) -> str:
    """Its key, without the marks for adding and deleting."""
    return override.lstrip("+~").partition("=")[0]


def section_of(override: str) -> str:
    """The first part of its key: `student` of `student.epochs=3`, `hydra` of `+hydra/launcher=joblib`."""
    return re.split(r"[./@]", bare_key(override))[0]
