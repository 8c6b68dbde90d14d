"""The keys that the config gives a run now: what decides whether a recorded figure still holds. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hydra.types import RunMode
from omegaconf import open_dict

from distill_cli.artifacts.keys import canonical_json
from distill_cli.config.overrides import as_hydra
from distill_cli.errors import DataError, DistillError
from distill_cli.hydra_app.combinations import combined
from distill_cli.hydra_app.complaints import explain
from distill_cli.hydra_app.composition import PRIMARY, config_loader, user_config
from distill_cli.hydra_app.recomposition import composing_once
from distill_cli.plan import Plan
from distill_cli.runtime.shared import shared
from tables.description import Run, words_of

Keys = dict[str, str]
KeysOf = Callable[[Run, Sequence[str]], Keys]


class CannotRun(Exception):
    """A run's words do not compose, or make no sense; the message is the one line that says why."""


@contextmanager
def planning() -> Iterator[KeysOf]:
    """Within, the keys of a run with more words behind it; what several runs share is read once.

    They raise `CannotRun`, and what `Plan.of` raises: `DataError` where the data set is not there.
    """
    with composing_once(), user_config(None), config_loader() as loader, shared.during(True):

        def keys_of(run: Run, more: Sequence[str] = ()) -> Keys:
            overrides = [as_hydra(combined(word)) for word in (*words_of(run), *more)]
            try:
                composed = loader.load_configuration(PRIMARY, overrides, RunMode.RUN)
                with open_dict(composed):
                    del composed["hydra"]
                return _keys(Plan.of(composed))
            except DataError:
                raise
            except DistillError as error:
                raise CannotRun(" ".join(str(error).split())) from error
            except Exception as error:
                if complaint := explain(error, overrides):
                    raise CannotRun(complaint) from error
                raise

        try:
            yield keys_of
        finally:
            shared.release()


def _keys(plan: Plan) -> Keys:
    """Of what is made. The bias is in no artefact but the report, whose key hangs on what lies on the disk."""
    bias = plan.config.evaluate.bias
    return {
        "student": plan.student.key,
        "baseline": plan.baseline.key,
        **({"teacher": plan.first.teacher.key} if plan.first.is_taught else {}),
        **({"soft_labels": plan.labels.place.key} if plan.reads_labels and len(plan.members) == 1 else {}),
        **({"bias": canonical_json(_plain(bias))} if bias is not None else {}),
    }


def _plain(bias: object) -> object:
    """Class names as texts, so that {3: 1} and {'3': 1} are one."""
    return {str(name): value for name, value in bias.items()} if isinstance(bias, dict) else bias


def refuse_other_results(
    keys: Keys, keys_of: KeysOf, run: Run, words: Sequence[str], more: Sequence[str]
) -> None:
    """Raises `CannotRun` where words beside the table, `more`, would change the run's `keys`."""
    if more and keys != keys_of(run, [*words, *more]):
        raise CannotRun(
            f"ARGS={shlex.join(more)} would change the results; say it in `common` of the table's description"
        )
