"""What is missing of a table, and running it: a run after the other, each recorded before the next begins.

One that fails is said and recorded, and the others go on. A signal is passed on; the next call goes on from there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_cli.errors import DataError
from distill_cli.runtime.console import say
from tables.calls import Ended, call
from tables.description import Run, Table, words_of
from tables.keys import CannotRun, Keys, KeysOf, planning, refuse_other_results
from tables.recording import Result, recorded, unplanned
from tables.records import Results
from tables.settings import Settings

UNSAID = (
    "evaluate.latency=false",
    "evaluate.diagnosis=0",
    "evaluate.pictures=0",
)  # of the report: no page shows it


@dataclass(frozen=True)
class Missing:
    run: Run
    keys: Keys
    why_not: str = ""  # it cannot even begin


def missing(table: Table, results: Results, settings: Settings) -> list[Missing]:
    """Runs asked for and not recorded with the keys of today; what is known under other words gets today's.

    Raises `CannotRun` where words beside the table would change results, and `DataError` where data is not there.
    """
    try:
        with planning() as keys_of:
            found = list(_missing(table, results, settings, keys_of))
    except DataError as error:
        raise DataError(_where_to_get(table, str(error))) from error
    results.forget_former_words(table)
    return found


def _where_to_get(table: Table, complaint: str) -> str:
    """The complaint, with what is typed here: `BENCH_DATA=DIR` for paths.data."""
    if table.get:
        return f"{complaint.partition(';')[0]}; get {table.get}, below BENCH_DATA=DIR"
    return complaint.replace("paths.data=", "BENCH_DATA=")


def drop_stale(tables: Iterable[Table], results: Mapping[str, Results], settings: Settings) -> None:
    """Figures whose keys are not those of today. Where the data is not there, nobody can tell, which is said."""
    with planning() as keys_of:
        for table in tables:
            found, unknown = results[table.name], ""
            for run in [run for run in table.runs if run in found.runs]:
                try:
                    if keys_of(run, settings.places) != found.runs[run]["keys"]:
                        found.drop([run])
                except CannotRun:
                    found.drop([run])
                except DataError as error:
                    unknown = str(error)
            if unknown:
                say(f"{table.name}: keys of what is recorded were not all checked: {unknown}")


def _missing(table: Table, results: Results, settings: Settings, keys_of: KeysOf) -> Iterator[Missing]:
    for run in settings.chosen(table):
        try:
            keys = keys_of(run, settings.places)
        except CannotRun as error:
            yield Missing(run, {}, str(error))
            continue
        refuse_other_results(keys, keys_of, run, settings.places, settings.words)
        if not results.has(run, keys, table.classes_of(run)):
            yield Missing(run, keys)


def make(table: Table, wanted: Sequence[Missing], results: Results, settings: Settings) -> int | None:
    """Run them all. The exit code to leave with, where a signal came."""
    results.drop(one.run for one in wanted if one.keys)
    results.write()
    for number, one in enumerate(wanted, 1):
        results.refresh()
        say(f"{table.name}, run {number} of {len(wanted)}: distill run {one.run}")
        if results.has(one.run, one.keys, table.classes_of(one.run)):
            continue  # other words for one that was just made
        stopped = _make(table, one, results, settings)
        if stopped is not None:
            return stopped
    return None


def refuse_device(words: Sequence[str]) -> None:
    """Raises `ConfigError` where this machine has no such device: every run would fail."""
    devices = [word.removeprefix("device=") for word in words if word.startswith("device=")]
    if devices:
        from distill_cli.runtime.device import resolve  # imports torch

        resolve(devices[-1], "fp32", "false")


def _make(table: Table, one: Missing, results: Results, settings: Settings) -> int | None:
    if one.why_not:
        _fail(results, one.run, one.why_not)
        return None
    words = [*words_of(one.run), *UNSAID, *settings.places, *settings.words]
    verbs = ["run"] if table.baseline else _verbs(one.keys)
    ended: dict[str, Ended] = {}
    for verb in verbs:
        ended[verb] = last = _call([verb, *words])
        if last.code or last.stopped is not None:
            break
    if len(ended) < len(verbs) or last.code:
        if last.stopped is None:
            _fail(results, one.run, last.complaint)
        return last.stopped
    result = _result(ended)
    if others := unplanned(result, one.keys):
        _fail(results, one.run, f"made with another config than was planned: {', '.join(others)}")
    else:
        results.keep(one.run, recorded(result, one.keys, table.classes_of(one.run)))
    return last.stopped


def _call(words: Sequence[str]) -> Ended:
    with tempfile.TemporaryDirectory() as directory:
        own = [word for word in words if not word.startswith("hydra.run.dir=")]
        return call([*own, f"hydra.run.dir={directory}"], Path(directory))


def _verbs(keys: Keys) -> list[str]:
    """What `distill run` does, but for the baseline."""
    return ["train-teacher", *(["gen-soft-labels"] if "soft_labels" in keys else []), "distill", "evaluate"]


def _result(ended: Mapping[str, Ended]) -> Result:
    """Of `distill run`; or of its stages, as that would have left it."""
    found = {verb: one.results[0] for verb, one in ended.items()}
    return found.get("run") or {**found["evaluate"], "stages": found}


def _fail(results: Results, run: Run, why: str) -> None:
    say(f"failed: distill run {run}: {why}")
    results.fail(run, why)
