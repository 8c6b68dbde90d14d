"""Weights & Biases: a run in a project, sent at once or kept in a directory for `wandb sync`.

Silent, because wandb otherwise prints into the progress and, on a terminal, stops to ask for a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from distill_cli.errors import ConfigError
from distill_cli.runtime.console import say
from distill_cli.trackers.tracker import Figures, Recorder, Run, Status, need_package

MODES = ("auto", "online", "offline")
EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 130}
SECONDS = {"init_timeout": 20.0, "finish_timeout": 40.0}  # less than our own patience


@dataclass(frozen=True)
class Wandb:
    project: str
    entity: str | None
    dir: str
    mode: str

    def __post_init__(self) -> None:
        need_package("wandb", extra="wandb")
        if self.mode not in MODES:
            raise ConfigError(f"logger.wandb.mode={self.mode}: must be one of {', '.join(MODES)}")

    def start(self, run: Run) -> Recorder:
        wandb: Any = import_module("wandb")
        if self.mode != "auto":
            return _Recorder(self._begin(wandb, run, self.mode))
        try:
            return _Recorder(self._begin(wandb, run, None))
        except wandb.Error as error:  # nobody is logged in, or the network is down
            _say_once(f"wandb: {str(error).partition(chr(10))[0]} Kept for `wandb sync` in {self.dir}/wandb")
            return _Recorder(self._begin(wandb, run, "offline"))

    def _begin(self, wandb: Any, run: Run, mode: str | None) -> Any:
        """Without a mode it is online, or what `WANDB_MODE` says."""
        Path(self.dir).mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(silent=True, console="off", reinit="create_new", **SECONDS)
        wandb.setup(settings)
        begun = wandb.init(
            project=self.project,
            entity=self.entity or None,
            dir=self.dir,
            mode=mode,
            name=run.name,
            group=run.group or None,
            job_type=run.stage,
            config={"stage": run.stage, "key": run.key, "command": run.command, **run.settings},
            settings=settings,
        )
        if not begun.offline and begun.url:
            say(f"wandb: {begun.url}")
        return begun


@cache
def _say_once(message: str) -> None:
    """Not for every job of a sweep."""
    say(message)


@dataclass(frozen=True)
class _Recorder:
    run: Any

    def record(self, epoch: int, figures: Figures) -> None:
        self.run.log(dict(figures), step=epoch)

    def end(self, status: Status) -> None:
        self.run.finish(exit_code=EXIT_CODES[status])
