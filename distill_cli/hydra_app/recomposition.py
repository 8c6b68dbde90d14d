"""Composing a config once for all jobs that choose the same files.

Hydra composes anew, from some thirty YAML files, to learn the mode, for each job of a sweep to see that it can be
composed, and for each job again to start it: 0.1 s each. What differs between these is mostly values, which Hydra
applies last. So what comes before them is kept for as long as a command runs, as pickles: the list of files that a
choice of groups leads to, what these files merge into, and each job's config from its look to its start. A file
that is edited during a sweep does not change the jobs that are left.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra._internal import config_loader_impl, hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

Key = tuple[Any, ...]
LIST, LOADER = "create_defaults_list", "ConfigLoaderImpl"  # Hydra's names for them
MISSING = "???"  # a group whose option must be named


@contextmanager
def composing_once() -> Iterator[None]:
    """Within, whatever Hydra composes a second time is what it composed the first time."""
    make_list = vars(config_loader_impl)[LIST]
    lists: dict[Key, DefaultsList] = {}

    def defaults_list(
        repo: IConfigRepository, config_name: str | None, overrides_list: list[Override], **options: Any
    ) -> DefaultsList:
        asked = Overrides(repo, overrides_list)
        groups = [override for override in overrides_list if override not in asked.config_overrides]
        key = (_sources(repo), config_name, *(override.input_line for override in groups))
        known = lists.get(key)
        if known is None or MISSING in known.overrides.known_choices.values():  # for `options` to judge
            known = lists[key] = make_list(repo, config_name, overrides_list, **options)
        return DefaultsList(known.defaults, known.defaults_tree, asked.config_overrides, known.overrides)

    setattr(config_loader_impl, LIST, defaults_list)
    setattr(hydra, LOADER, _Loader)
    try:
        yield
    finally:
        setattr(config_loader_impl, LIST, make_list)
        setattr(hydra, LOADER, ConfigLoaderImpl)


class _Loader(ConfigLoaderImpl):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._merged: dict[Key, bytes] = {}
        self._fresh: dict[Key, CachingConfigRepository] = {}
        self._looked_at: dict[Key, bytes] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which has one job and needs none of the others' configs."""
        return {**vars(self), "_looked_at": {}, "_fresh": {}}

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Called twice for each job."""
        key = (id(master_config), *sweep_overrides)
        if key in self._looked_at:
            looked_at: DictConfig = pickle.loads(self._looked_at.pop(key))
        else:
            looked_at = super().load_sweep_config(master_config, sweep_overrides)
            self._looked_at[key] = pickle.dumps(looked_at)
        OmegaConf.copy_cache(from_config=master_config, to_config=looked_at)
        return looked_at

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        """A repository serves until something is composed from it: merging takes its nodes apart."""
        parsed = OverridesParser.create().parse_overrides(overrides=overrides)
        places = (o.input_line for o in parsed if o.get_key_element() == "hydra.searchpath")
        key = (config_name, *places)
        if key not in self._fresh:
            _, self._fresh[key] = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
        return parsed, self._fresh[key]

    def _compose_config_from_defaults_list(
        self, defaults: Sequence[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        key = (_sources(repo), *map(repr, defaults))
        if key not in self._merged:
            self._fresh.clear()
            self._merged[key] = pickle.dumps(super()._compose_config_from_defaults_list(list(defaults), repo))
        merged: DictConfig = pickle.loads(self._merged[key])
        return merged


def _sources(repo: IConfigRepository) -> tuple[tuple[str, str], ...]:
    return tuple((source.provider, source.path) for source in repo.get_sources())
