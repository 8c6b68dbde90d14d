"""What Hydra and OmegaConf complain about, in one line with the remedy, and in the user's words.

Hydra says what its machinery tripped over; here that becomes what was typed wrong. Names to suggest are found
by composing the config once more, which is affordable because it only happens on the way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)
from yaml import MarkedYAMLError  # type: ignore[import-untyped]

from distill_cli.config.nearest import nearest, nearest_keys
from distill_cli.config.overrides import ALIASES, FREE, TYPED, as_hydra, as_typed, bare_key
from distill_cli.hydra_app.combinations import is_combined
from distill_cli.hydra_app.composition import PRIMARY, config_loader

EXPECTED = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "String": "a text"}
EXTRAS = {  # a launcher, sweeper or sampler to the extra that brings it
    "joblib": "parallel",
    **dict.fromkeys(("submitit_slurm", "submitit_local"), "slurm"),
    **dict.fromkeys(("optuna", "cmaes", "grid", "motpe", "nsgaii", "random", "tpe"), "optuna"),
}

PLACES = {
    hydra.rpartition("@")[2]: typed for typed, hydra in ALIASES.items()
}  # of what a group is laid down in


def explain(error: BaseException, overrides: Sequence[str] = ()) -> str | None:
    """The line for an error that came out of composing, or None where it is not one of those."""
    if isinstance(error, OverrideParseException):
        return explain_grammar(as_typed(error.override))
    if isinstance(error, MissingConfigException):
        return _unknown_option(error, overrides)
    if isinstance(error, ValueError) and "Config group override must be" in str(error):
        return _nameless_option(overrides)
    if isinstance(error, MarkedYAMLError):
        return _explain_yaml(error)
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    values = [link for link in _chain(error) if isinstance(link, OmegaConfBaseException)]
    if values:
        return _origin(error) + _explain_value(values[0], overrides)
    return _explain_words(str(error), overrides)


def unknown_key(key: str, overrides: Sequence[str] = ()) -> str:
    """`no setting 'temprature'; did you mean 'temperature'?`"""
    if key.startswith(f"{FREE}."):
        return f"{key} cannot be left out; write {FREE}={{…}} with what is to be there, or {FREE}=null"
    config = _compose([o for o in overrides if bare_key(o) != key])
    nodes = dict(_flatten(config, ""))
    near = nearest_keys(key, [*nodes, "experiment"])
    if near:
        return f"no setting {key!r}; did you mean {' or '.join(map(repr, near))}?"
    if _is_spec(nodes.get(key.rpartition(".")[0])):
        return f"no setting {key!r}; to pass it to what stands there, add it: +{key}=..."
    return f"no setting {key!r}; --cfg {'hydra' if key.startswith('hydra.') else 'job'} lists them"


def explain_grammar(typed: str) -> str:
    key = typed.partition("=")[0]
    if typed.endswith(","):
        return f"{typed!r} ends with a comma; several values have no spaces between them: {key}=1,2,4"
    return f"{typed!r} is not KEY=VALUE as Hydra reads it; quote what is special in it: 'key=\"a value\"'"


def _explain_value(error: OmegaConfBaseException, overrides: Sequence[str]) -> str:
    key, first_line = error.full_key or "", str(error).partition("\n")[0]
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        typed = [bare_key(o) for o in overrides if bare_key(o).startswith(key)]
        return unknown_key(typed[0] if typed else key, overrides)
    if isinstance(error, MissingMandatoryValue):
        setting = PLACES.get(key, key)
        return f"{setting} has no value; set it with {setting}=..."
    if isinstance(error, InterpolationResolutionError):
        return f"{key}: {first_line}"
    if isinstance(error, ValidationError):
        return _explain_type(key, first_line)
    return first_line


def _explain_type(key: str, message: str) -> str:
    if "is not Optional" in message:
        return f"{key} must not be null"
    if "is not a subclass of" in message:
        hint = f"; choose one with {key}=NAME, without +" if key in ALIASES else ""
        return f"{key} is a group of settings, not a value{hint}"
    wrong = re.match(r"Value '(.*)' of type '(\w+)' could not be converted to (\w+)", message)
    if "is not a valid bool" in message:
        return f"{key}: must be true or false"
    if wrong is None:
        return f"{key}: {message}"
    expected = EXPECTED.get(wrong[3], wrong[3])
    if wrong[2] == "dict":
        return f"{key} is {expected}: there are no settings below it"
    return f"{key}={wrong[1]}: must be {expected}{_as_sweep(key, wrong[1])}"


def _as_sweep(key: str, value: str) -> str:
    """For who meant several values, in a notation that Hydra has not."""
    bounds = re.fullmatch(r"(\d+)(?:\.\.|-|:)(\d+)", value)
    if bounds:
        return f"; for all of these, with -m: {key}=range({bounds[1]},{int(bounds[2]) + 1})"
    several = re.sub(r"[\s;,]+", ",", value.strip("[]()"))
    return f"; for several, with -m: {key}={several}" if "," in several else ""


def _unknown_option(error: MissingConfigException, overrides: Sequence[str]) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return f"--config-name {name}: there is no {name}.yaml in the config directories"
    if is_combined(name):
        how = "in a file a sum is written out, with an entry for each; docs/methods.md shows how"
        return f"{_origin(error)}{group}={name}: {how}"
    options = sorted(option for option in error.options or () if not is_combined(option))
    typed = [as_typed(bare_key(o)) for o in overrides if bare_key(o).partition("@")[0] == group and name in o]
    line = f"{_origin(error)}{typed[0] if typed else group}={name}: there is no {group} {name!r}"
    if group.startswith("hydra/") and name in EXTRAS:
        return f"{line}; install it with: pip install 'distill-cli[{EXTRAS[name]}]'"
    near = nearest(name, options)
    question = f"; did you mean {near!r}?" if near else "."
    there = "distill losses shows them" if group == "loss" else f"There are {', '.join(options)}"
    return f"{line}{question} {there}" if options else line


def _explain_words(message: str, overrides: Sequence[str]) -> str:
    """Of what Hydra tells apart by its text alone."""
    said = re.sub(r"^In '.+?': ", "", message)
    quoted = re.search(r"'(.+?)'", said)
    what = quoted[1] if quoted else ""
    if "Ambiguous value" in message or "requires --multirun" in message:
        return f"{as_typed(what)}: several values are several jobs; add -m"
    if "already at" in message:
        return f"{what} is there already; write {what}=... without the +"
    if "Could not override" in message:
        return _origin_in(message) + _misplaced_group(what)
    if "Could not delete" in message or "does not exist" in message:
        return unknown_key(re.findall(r"'(.+?)'", message)[-1].lstrip("~"), overrides)
    return " ".join(message.split())


def _misplaced_group(group: str) -> str:
    """A group that exists, but has no place of that name in the defaults."""
    if group.partition("@")[2].partition(".")[0] in ("experiment", "sweep"):
        return "its first line must be `# @package _global_`"
    places = [f"{typed}=NAME" for typed, hydra in ALIASES.items() if hydra.startswith(f"{group}@")]
    if places:
        return f"{group} does not say where; write {' or '.join(places)}"
    return f"{group} is not chosen from by default; add it: +{group}=NAME"


def _nameless_option(overrides: Sequence[str]) -> str:
    """A number or null where a group wants a name."""
    for override in overrides:
        key, _, value = override.partition("=")
        is_name = all(map(_is_name, value.split(",")))
        if not is_name and (key in TYPED or key in _groups()):
            return f"{as_typed(override)}: must be a name" + (
                "" if key in TYPED else f"; ~{key} leaves it out"
            )
    return "a group is chosen from by a name, not by a number or null"


def _is_name(word: str) -> bool:
    return word not in ("null", "true", "false") and not word.replace(".", "").isdigit()


def _explain_yaml(error: MarkedYAMLError) -> str:
    mark = error.problem_mark
    where = f"{mark.name}, line {mark.line + 1}: " if mark else ""
    return f"{where}{error.problem or error.context or 'not YAML'}"


def _origin(error: BaseException) -> str:
    return _origin_in(str(error))


def _origin_in(message: str) -> str:
    """`experiment/mine.yaml: ` where the fault is in a file and not on the command line."""
    found = re.match(r"In '(.+?)': ", message)
    is_file = found and found[1] not in (PRIMARY, "hydra/config") and not is_combined(found[1])
    return f"{found[1]}.yaml: " if found and is_file else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _compose(overrides: Sequence[str]) -> Any:
    """The config as plain values: with the overrides if they compose, else without, else empty."""
    for attempt in ([as_hydra(o) for o in overrides], []):
        with suppress(Exception), config_loader() as loader:
            composed = loader.load_configuration(
                PRIMARY, attempt, RunMode.MULTIRUN, validate_sweep_overrides=False
            )
            return OmegaConf.to_container(composed)
    return {}


def _groups() -> list[str]:
    with config_loader() as loader:
        return loader.list_groups("")


def _flatten(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every key of a nested mapping, dotted, with what it holds."""
    for key, value in node.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")


def _is_spec(node: Any) -> bool:
    return isinstance(node, dict) and "_target_" in node
