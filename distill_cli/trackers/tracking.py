"""Where the figures of a job go: to metrics.jsonl always, and to the trackers that `logger` names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_cli.config.targets import instantiate
from distill_cli.errors import ConfigError, Interrupted
from distill_cli.trackers.guarded import Guarded, is_given_up, wait_for
from distill_cli.trackers.metrics_log import MetricsLog
from distill_cli.trackers.tracker import Figures, Run, Status, Tracker


class Tracking:
    """One run on its way to whoever follows it. Nobody is told of one that never begins."""

    def __init__(self, run: Run, trackers: Trackers) -> None:
        self.run, self.trackers = run, trackers
        self.followers: list[Guarded] = []
        self.epochs = 0  # done

    def begin(self) -> Callable[..., None]:
        """Returns what to call after each epoch."""
        chosen = self.trackers.chosen.items()
        self.followers = [Guarded(*named, self.run) for named in chosen if not is_given_up(*named)]
        return self.epoch

    def epoch(self, record: Figures, step: int, *, resumed: bool = False) -> None:
        """A finished epoch, in the words of the training loop; `resumed` where an earlier process trained it."""
        self.epochs = int(record["epoch"])
        figures = {name: value for name, value in record.items() if name != "epoch"}
        mark = {"resumed": True} if resumed else {}
        self._tell({"epoch": self.epochs, "step": step}, figures, mark)

    def final(self, figures: Mapping[str, Any]) -> None:
        """Of the finished model; what is no number is left out."""
        numbers = {name: value for name, value in figures.items() if type(value) in (int, float)}
        self._tell({"final": True}, numbers, {})

    def _tell(self, place: Mapping[str, Any], figures: Figures, mark: Mapping[str, Any]) -> None:
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        if self.trackers.log is not None:
            identity = {"stage": self.run.stage, "key": self.run.key}
            or_null = {name: finite.get(name) for name in figures}  # JSON has no NaN
            self.trackers.log.write({**identity, **place, **or_null, **mark})
        for follower in self.followers:
            follower.record(self.epochs, finite)

    def end(self, status: Status) -> None:
        for follower in self.followers:
            follower.end(status)
        wait_for(self.followers, status)


@dataclass(frozen=True)
class Trackers:
    """Of one job."""

    chosen: Mapping[str, Tracker] = field(default_factory=dict)
    log: MetricsLog | None = None
    group: str = ""

    @classmethod
    def of(cls, specs: Mapping[str, Any], output: Path | None = None, group: str = "") -> Trackers:
        """Raises `ConfigError` where one cannot be had: a package that is not installed, a wrong setting."""
        for name, spec in specs.items():
            if not isinstance(spec, Mapping | None):
                raise ConfigError(
                    f"logger.{name}={spec}: choose trackers with logger={name}, or a list of them"
                )
        chosen = {name: instantiate(spec) for name, spec in specs.items() if spec is not None}
        return cls(chosen, None if output is None else MetricsLog.begin(output), group)

    @contextmanager
    def follow(self, run: Run) -> Iterator[Tracking]:
        """Within, `run` is made, if it is; the trackers learn how that ended."""
        tracking = Tracking(run, self)
        try:
            yield tracking
        except BaseException as error:
            with suppress(Interrupted):  # a second signal ends the wait; the first error is the one to tell
                is_stopped = isinstance(error, KeyboardInterrupt | Interrupted)
                tracking.end("interrupted" if is_stopped else "failed")
            raise
        tracking.end("finished")
