"""From `_target_` in a YAML to the object it names: the only registry there is.

A *spec* is a plain mapping: `{"_target_": "package.module.name", **keyword_arguments}`. Hydra's own
`instantiate` stays out of the lower layers, because specs also come from artefacts, where only models may be
made (`models/allow_list.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from distill_cli.config.nearest import nearest
from distill_cli.errors import ConfigError

TARGET = "_target_"
LABELS = ("name", "about", "needs", "paper")  # keys of a spec that are about it, and never passed on


def without_labels(spec: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A spec as it goes into an identity: without names for people, here and in what it nests."""
    return {
        key: without_labels(value) if isinstance(value, Mapping) else value
        for key, value in spec.items()
        if key not in (*names, *LABELS)
    }


def instantiate(spec: Mapping[str, Any], key: str | None = None, /, **given: Any) -> Any:
    """Call the target of `spec` with its arguments and with `given`.

    `key` is what a user types for it, and how a complaint begins: else with the target.

    Raises `ConfigError` where the target does not exist, an argument is unknown or missing, or the target
    itself refuses a value with a `TypeError` or `ValueError`.
    """
    target = locate(str(spec.get(TARGET, "")))
    what = key or spec[TARGET]
    arguments = {key: value for key, value in spec.items() if key != TARGET and key not in LABELS}
    try:
        inspect.signature(target).bind(**arguments, **given)
    except TypeError as error:
        raise ConfigError(f"{what}: {_with_hint(str(error), target)}") from None
    try:
        return target(**arguments, **given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what}: {' '.join(str(error).split())}") from error


def instantiate_nested(spec: Mapping[str, Any], key: str | None = None, /, **given: Any) -> Any:
    """The same, with the specs among its arguments made first. Not for what an artefact says."""
    made = {name: _made(value, f"{key}.{name}" if key else None) for name, value in spec.items()}
    return instantiate(made, key, **given)


def _made(value: Any, key: str | None) -> Any:
    return instantiate_nested(value, key) if isinstance(value, Mapping) and TARGET in value else value


def locate(target: str) -> Callable[..., Any]:
    """The class or function that a dotted path names. Raises `ConfigError` where there is none."""
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise ConfigError(f"_target_ {target!r} is not a dotted path such as package.module.Class")
    module = _import(module_name, target)
    try:
        found = getattr(module, name)
    except AttributeError:
        raise ConfigError(f"_target_ {target}: {module_name} has no {name!r}") from None
    if not callable(found):
        raise ConfigError(f"_target_ {target} is not a class or a function")
    return found  # type: ignore[no-any-return]


def _import(name: str, target: str) -> ModuleType:
    """Other people's modules fail in their own ways; each is a `ConfigError` in one line."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"_target_ {target}: no module named {error.name!r}; {_remedy(error.name)}"
        ) from None
    except Exception as error:
        text = " ".join(str(error).split())
        raise ConfigError(
            f"_target_ {target}: {name} cannot be imported: {type(error).__name__}: {text}"
        ) from error


def parameters_of(spec: Mapping[str, Any]) -> set[str]:
    """Names that the target of `spec` takes explicitly."""
    return set(inspect.signature(locate(str(spec.get(TARGET, "")))).parameters)


def _with_hint(message: str, target: Callable[..., Any]) -> str:
    unknown = message.split("'")[1] if "unexpected keyword" in message else ""
    near = nearest(unknown, inspect.signature(target).parameters) if unknown else None
    return f"{message} (did you mean {near!r}?)" if near else message


def _remedy(module: str | None) -> str:
    if module == "timm":
        return "install it with: pip install 'distill-cli[timm]'"
    return "is its directory on PYTHONPATH?"
