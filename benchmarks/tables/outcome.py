"""A row's figure beside the published one: ours, the difference, and whether that is more than noise.

Noise is two standard errors of the difference: 2 s √(1/n + 1/m) for our n runs with standard deviation s, where
the published figure is the mean of m runs, taken to scatter as ours do. A published best epoch may lie above the
last one by as much as is known of the task: only what is missing beyond that counts against us.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from distill_cli.comparison.figures import Figure
from tables.description import Row, Table
from tables.measures import model_of
from tables.records import Results


@dataclass(frozen=True)
class Outcome:
    row: Row
    figure: Figure | None  # over different models: a teacher that all seeds share is one
    missing: int  # runs
    seconds: float  # of training these models
    failed: str = ""
    allowance: float = 0.0  # for a best epoch

    @classmethod
    def of(cls, row: Row, table: Table, results: Results) -> Outcome:
        role = model_of(row.of)
        known = [results.runs[run] for run in row.runs if run in results.runs]
        models = {run["keys"].get(role): run for run in known}
        failed = (results.failed[run] for run in row.runs if run in results.failed)
        is_best = row.published is not None and row.published.best_epoch
        return cls(
            row,
            figure=Figure.of(row.measure.value(run, row.of) for run in models.values()),
            missing=len(row.runs) - len(known),
            seconds=sum(run["seconds"].get(role, 0.0) for run in models.values()),
            failed=next(failed, ""),
            allowance=(table.best_epoch or 0.0) if is_best else 0.0,
        )

    @property
    def difference(self) -> float | None:
        published = self.row.published
        if self.figure is None or published is None or not published.compares:
            return None
        return published.difference(self.figure.mean)

    @property
    def noise(self) -> float | None:
        """None where nobody knows: of a single run."""
        if self.figure is None or self.figure.std is None or self.row.published is None:
            return None
        theirs = 1 / self.row.published.runs if self.row.published.runs else 0.0
        return 2 * self.figure.std * sqrt(1 / self.figure.n + theirs)

    @property
    def verdict(self) -> str:
        """better or worse, where the difference is more than its noise."""
        difference, noise = self.difference, self.noise
        if difference is None or noise is None:
            return ""
        gain = difference if self.row.measure.more_is_better else -difference
        if gain > noise:
            return "better"
        return "worse" if gain + self.allowance < -noise else ""
