"""One command at work: its plan, and the words it was called with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from distill_cli.config.overrides import as_typed
from distill_cli.plan import Plan
from distill_cli.runtime.console import say
from distill_cli.stages.result import write_result


@dataclass(frozen=True)
class Session:
    plan: Plan
    words: tuple[str, ...] = ()  # what followed the verb
    in_sweep: bool = False

    @classmethod
    def of(cls, config: DictConfig) -> Session:
        if not HydraConfig.initialized():
            return cls(Plan.of(config))
        hydra = HydraConfig.get()
        flags = [
            flag
            for source in hydra.runtime.config_sources
            if source.provider == "command-line"
            for flag in ("--config-dir", source.path)
        ]
        words = (*flags, *(as_typed(override) for override in hydra.overrides.task))
        return cls(Plan.of(config), words, in_sweep=hydra.mode == RunMode.MULTIRUN)

    def command(self, verb: str, *more: str) -> str:
        """What to type for another verb with the same overrides, some of them replaced."""
        replaced = {override.partition("=")[0] for override in more}
        kept = [word for word in self.words if word.partition("=")[0] not in replaced]
        return shlex.join(["distill", verb, *kept, *more])

    def suggest(self, verb: str, *more: str) -> None:
        """Say what to type next; not once for each job of a sweep."""
        if not self.in_sweep:
            say(f"next: {self.command(verb, *more)}")

    def write_result(self, output: Path, document: Mapping[str, Any]) -> None:
        """result.json, which also has the command, and which pictures were left out."""
        skipped = {"skipped": self.plan.skipped} if self.plan.skipped else {}
        write_result(output, {**document, "command": self.command(document["stage"]), **skipped})
