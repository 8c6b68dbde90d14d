"""One command at work: its plan, and the words it was called with."""

from __future__ import annotations

from dataclasses import dataclass

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from distill_cli.overrides import as_typed
from distill_cli.plan import Plan


@dataclass(frozen=True)
class Session:
    plan: Plan
    overrides: tuple[str, ...]

    @classmethod
    def of(cls, config: DictConfig) -> Session:
        overrides = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
        return cls(Plan.of(config), tuple(as_typed(override) for override in overrides))

    def command(self, verb: str, *more: str) -> str:
        """What to type for another verb with the same overrides, some of them replaced."""
        replaced = {override.partition("=")[0] for override in more}
        kept = [o for o in self.overrides if o.partition("=")[0] not in replaced]
        return " ".join(["distill", verb, *kept, *more])
