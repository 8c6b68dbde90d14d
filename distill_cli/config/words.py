"""The words after a command that is not Hydra's.

Parsed here and not by Typer, which imports pydantic (0.1 s) for the first option that has a value.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from distill_cli.config.nearest import nearest
from distill_cli.errors import ConfigError


class WordParser(argparse.ArgumentParser):
    """Says in one line what is wrong, with the nearest option. No abbreviations: scripts outlive options."""

    def __init__(self, command: str) -> None:
        super().__init__(command, add_help=False, allow_abbrev=False)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Options and names may stand in any order. Raises `ConfigError`."""
        found, surplus = self.parse_known_intermixed_args(list(words))
        if surplus:
            known = [option for action in self._actions for option in action.option_strings]
            near = nearest(surplus[0].partition("=")[0], known)
            remedy = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
            kind = "option" if surplus[0].startswith("-") else "name"
            self.error(f"no {kind} {surplus[0]!r} here; {remedy}")
        return found

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog}: {message}")
