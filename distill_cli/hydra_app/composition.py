"""Where the config comes from: `conf/`, the schema, and a user's own directory in front of both.

Hydra appends `--config-dir` behind the application's config, so that a user's file of the same name would
lose. A search-path plugin, Hydra's own extension point, puts it in front.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from distill_cli.config.schema import Config
from distill_cli.errors import ConfigError

VERSION_BASE = "1.3"
PRIMARY = "config"


def config_dir() -> Path:
    """`conf/` inside the installed package, or at the top of the repository in a checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


class UserConfigFirst(SearchPathPlugin):
    directory: ClassVar[Path | None] = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if self.directory is not None:
            search_path.prepend("command-line", f"file://{self.directory}", SearchPathQuery(provider="main"))


@contextmanager
def user_config(directory: str | None) -> Iterator[None]:
    """Within, everything is composed with the schema, and from `directory` first."""
    if directory is not None and not Path(directory).is_dir():
        raise ConfigError(f"--config-dir {directory}: there is no such directory")
    ConfigStore.instance().store(name="schema", node=Config)
    Plugins.instance().register(UserConfigFirst)
    UserConfigFirst.directory = Path(directory).absolute() if directory is not None else None
    try:
        yield
    finally:
        UserConfigFirst.directory = None


@contextmanager
def config_loader() -> Iterator[ConfigLoader]:
    """Hydra's loader of configs and groups: that of the run, or one outside of any."""
    if GlobalHydra.instance().is_initialized():
        yield GlobalHydra.instance().config_loader()
        return
    with hydra.initialize_config_dir(str(config_dir()), version_base=VERSION_BASE):
        yield GlobalHydra.instance().config_loader()
