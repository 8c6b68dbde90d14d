"""MLflow: a run in an experiment, in a directory, a database or on a server.

By default in a directory, which needs nothing but `mlflow-skinny`, takes a millisecond an epoch and bears many
writers. MLflow prefers a database by now and opens a directory only if told that it is meant; it is. Only
`MlflowClient` is used: the module's own functions keep one current run a process.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from distill_cli.trackers.tracker import Figures, Recorder, Run, Setting, Status, need_package

ENVIRONMENT = {  # where a user has not set it
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",  # seconds
}
MOST_PARAMS = 100  # in one request
STATUSES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


@dataclass(frozen=True)
class Mlflow:
    tracking_uri: str  # or a directory
    experiment: str

    def __post_init__(self) -> None:
        need_package("mlflow", extra="mlflow")

    def start(self, run: Run) -> Recorder:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        logging.getLogger("urllib3").setLevel(
            logging.ERROR
        )  # it announces every try of a server that is away
        from mlflow import MlflowClient

        with _alone_in(self.tracking_uri):
            client = MlflowClient(tracking_uri=self.tracking_uri)
            found = client.get_experiment_by_name(self.experiment)
            number = client.create_experiment(self.experiment) if found is None else found.experiment_id
        tags = {"stage": run.stage, "key": run.key, "group": run.group, "mlflow.source.name": run.command}
        recorder = _Recorder(client, client.create_run(number, run_name=run.name, tags=tags).info.run_id)
        recorder.describe(run)
        return recorder


@dataclass(frozen=True)
class _Recorder:
    client: Any
    run_id: str

    def describe(self, run: Run) -> None:
        from mlflow.entities import Param

        params = [Param(key, _text(value)) for key, value in run.settings.items()]
        for first in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(self.run_id, params=params[first : first + MOST_PARAMS])

    def record(self, epoch: int, figures: Figures) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)  # milliseconds
        metrics = [Metric(name, value, now, epoch) for name, value in figures.items()]
        self.client.log_batch(self.run_id, metrics=metrics)

    def end(self, status: Status) -> None:
        self.client.set_terminated(self.run_id, STATUSES[status])


def _alone_in(uri: str) -> AbstractContextManager[Any]:
    """One process at a time opens a store on this disk: two that make the same one both fail, or make two of it."""
    from filelock import FileLock

    uris, files = import_module("mlflow.utils.uri"), import_module("mlflow.utils.file_utils")
    place = uri.removeprefix("sqlite:///")
    if not uris.is_local_uri(place):
        return nullcontext()
    path = Path(files.local_file_uri_to_path(place))
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f".{path.name}.lock"))


def _text(value: Setting) -> str:
    """As a user types it."""
    return value if isinstance(value, str) else json.dumps(value)
