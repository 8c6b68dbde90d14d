"""What <TAB> offers behind a verb: groups and their options, keys of the config, and the short names.

Keys come from Hydra's own completion. Options of a group are looked up here, so that the short names work
(`student=re`) and so does the next value of a sweep (`student=resnet8,re`) or a list (`teacher=[resnet56,re`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.plugins.completion_plugin import DefaultCompletionPlugin

from distill_cli.config.overrides import ALIASES, as_hydra
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.arguments import Arguments
from distill_cli.hydra_app.combinations import is_combined
from distill_cli.hydra_app.composition import PRIMARY, config_loader, user_config

PLACED_GROUPS = {group.partition("@")[0] for group in ALIASES.values()} | {"training"}


def complete_override(words: Sequence[str], incomplete: str) -> list[str]:
    """Candidates for the word being typed behind `words`."""
    arguments = _parse(words)
    if not incomplete and words and arguments.bare[-1:] == [words[-1]]:
        incomplete = "="  # nothing is typed after a bare word: bash has cut off its =, and Typer dropped it
    line = [*words, incomplete]
    if "=" not in line:
        return _candidates(arguments, incomplete)
    *words, incomplete = re.sub(" ?= ?", "=", " ".join(line)).split(" ")  # bash cuts words at every =
    found = _candidates(_parse(words), incomplete)
    return [candidate.rpartition("=")[2] for candidate in found] if "=" in incomplete else found


def _parse(words: Sequence[str]) -> Arguments:
    try:
        return Arguments.parse(words)
    except ConfigError:  # half a command line; complete what there is
        return Arguments()


def _candidates(arguments: Arguments, incomplete: str) -> list[str]:
    directory = arguments.config_dir
    with (
        user_config(directory if directory and Path(directory).is_dir() else None),
        config_loader() as loader,
    ):
        key, equals, value = incomplete.partition("=")
        if equals and (options := _options(loader, key)):
            last = re.split(r"[,[+]", value)[-1]
            before = value.removesuffix(last)
            return [f"{key}={before}{option}" for option in options if option.startswith(last)]
        return _keys(loader, [as_hydra(o) for o in arguments.overrides], incomplete)


def _options(loader: ConfigLoader, key: str) -> list[str]:
    group = ALIASES.get(key, key.lstrip("+")).partition("@")[0]
    options = loader.get_group_options(group, ObjectType.CONFIG)
    return sorted(option for option in options if not is_combined(option))


def _keys(loader: ConfigLoader, overrides: list[str], incomplete: str) -> list[str]:
    found = DefaultCompletionPlugin(loader)._query(PRIMARY, " ".join([*overrides, incomplete]))
    placed = {f"{group}=" for group in PLACED_GROUPS} - {"views="}
    short = {f"{alias}=" for alias in ALIASES if alias.startswith(incomplete)}
    return sorted((set(found) | short) - placed)
