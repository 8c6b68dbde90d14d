"""One command at work: its plan, the words it was called with, and the lock that it is held to."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from distill_cli.config.environment import KEPT
from distill_cli.config.lineage import MEMBERS
from distill_cli.config.loss_terms import TERMS
from distill_cli.config.overrides import as_typed, section_of
from distill_cli.errors import DataError
from distill_cli.plan import Plan
from distill_cli.runtime.addresses import without_secrets
from distill_cli.runtime.console import say
from distill_cli.stages.held import Held, refuse_other_data
from distill_cli.stages.result import write_result
from distill_cli.trackers.tracking import Trackers


@dataclass(frozen=True)
class Session:
    plan: Plan
    words: tuple[str, ...] = ()  # what followed the verb
    in_sweep: bool = False
    choices: Mapping[str, str | None] = field(default_factory=dict)  # config group, as typed, to option
    held: Held | None = None
    trackers: Trackers = field(default_factory=Trackers)

    @classmethod
    def of(cls, config: DictConfig, *, is_held: bool = True) -> Session:
        """Raises `ArtifactError` where the config has a lock that says otherwise, unless it is to be written."""
        try:
            session = cls._of(config)
        except DataError:
            if is_held and config.lock:
                refuse_other_data(Path(config.lock), str(config.data.name))
            raise
        path = session.plan.config.lock
        if path is None or not is_held:
            return session
        held = Held.to(Path(path), session.plan, session.choices, session.command)
        return replace(session, held=held)

    @classmethod
    def _of(cls, config: DictConfig) -> Session:
        if not HydraConfig.initialized():
            plan = Plan.of(config)
            return cls(plan, trackers=Trackers.of(plan.config.logger))
        hydra = HydraConfig.get()
        flags = [
            flag
            for source in hydra.runtime.config_sources
            if source.provider == "command-line"
            for flag in ("--config-dir", source.path)
        ]
        words = (*flags, *(as_typed(override) for override in hydra.overrides.task))
        in_sweep, output = hydra.mode == RunMode.MULTIRUN, Path(hydra.runtime.output_dir)
        plan, group = Plan.of(config), Path(hydra.sweep.dir) if in_sweep else output
        trackers = Trackers.of(plan.config.logger, output, group.name)
        return cls(plan, words, in_sweep, choices=_choices(hydra.runtime.choices), trackers=trackers)

    def command(self, verb: str, *more: str) -> str:
        """What to type for another verb with the same overrides, some of them replaced. No password is shown."""
        replaced = {override.partition("=")[0] for override in more}
        kept = [without_secrets(word) for word in self.words if word.partition("=")[0] not in replaced]
        return shlex.join(["distill", verb, *kept, *more])

    def teacher_is_missing(self) -> str:
        """Whom the student learns from, and what makes it: of a student before it, all that comes first."""
        name, before = self.plan.teacher.name, self.plan.taught_by
        if before is None:
            return f"the teacher {name} is not there; make it with: {self.command('train-teacher')}"
        return f"{before.role} is not there ({name}); make it with: {self.command('run')}"

    def recipe(self, verb: str) -> str:
        """The command as it is kept and sent: a tracker changes nothing that is made, and has an address."""
        return self.without("logger").command(verb)

    def without(self, *sections: str) -> Session:
        """The same, called without the overrides of some sections of the config."""
        return replace(self, words=tuple(word for word in self.words if section_of(word) not in sections))

    def suggest(self, verb: str, *more: str) -> None:
        """Say what to type next; not once for each job of a sweep, nor where a lock has settled what is made."""
        if not self.in_sweep and self.held is None:
            say(f"next: {self.without('gates').command(verb, *more)}")

    def write_result(self, output: Path, document: Mapping[str, Any]) -> None:
        """result.json, which also has the command, the pictures left out, and what differs from the lock."""
        skipped = {"skipped": self.plan.skipped} if self.plan.skipped else {}
        lock = {"lock": self.held.compare(self.plan, document)} if self.held else {}
        write_result(output, {**document, "command": self.recipe(document["stage"]), **skipped, **lock})


def _choices(of_hydra: Mapping[str, Any]) -> dict[str, str | None]:
    """Of the groups that decide what is made. Those within a sum of losses or models are said by its name."""
    packages = {group: group.rpartition("@")[2].split(".") for group in of_hydra}
    return {
        as_typed(group): of_hydra[group]
        for group, package in packages.items()
        if package[0] in KEPT and not {TERMS, MEMBERS} & {*package}
    }
