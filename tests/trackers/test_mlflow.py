"""Runs in a store on the disk, read back with MLflow's client."""

import threading
from dataclasses import replace

import pytest
from runs import EPOCHS, RUN, follow

from distill_cli.trackers.mlflow import Mlflow

pytest.importorskip("mlflow")


@pytest.fixture
def runs_in():
    from mlflow import MlflowClient

    def read(uri: str) -> tuple[MlflowClient, list]:
        client = MlflowClient(tracking_uri=uri)
        return client, client.search_runs([e.experiment_id for e in client.search_experiments()])

    return read


def assert_followed(client, run) -> None:
    assert run.info.run_name == RUN.name and run.info.status == "FINISHED"
    assert run.data.params == {
        "temperature": "4.0",
        "student": "mlp_24",
        "student.ema": "null",
        "student.optimizer.nesterov": "true",
    }
    tags = {"stage": "student", "key": RUN.key, "group": "sweep_1", "mlflow.source.name": RUN.command}
    assert tags.items() <= run.data.tags.items()
    losses = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")]
    assert losses == [(n, epoch["loss"]) for n, epoch in enumerate(EPOCHS, start=1)]
    assert run.data.metrics["validation_top1"] == 0.75


def test_a_run_is_kept_in_a_directory_as_it_went(tmp_path, runs_in):
    follow(Mlflow(str(tmp_path / "outputs/mlruns"), "distill"))
    client, (run,) = runs_in(str(tmp_path / "outputs/mlruns"))
    assert_followed(client, run)


@pytest.mark.slow  # a new database takes MLflow ten seconds
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's, of SQLAlchemy
def test_a_run_is_kept_in_a_database_as_it_went(tmp_path, runs_in):
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("alembic")
    follow(Mlflow(f"sqlite:///{tmp_path}/outputs/mlflow.db", "distill"))
    client, (run,) = runs_in(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    assert_followed(client, run)


@pytest.mark.parametrize(("status", "wanted"), [("failed", "FAILED"), ("interrupted", "KILLED")])
def test_a_run_says_how_it_ended(tmp_path, runs_in, status, wanted):
    Mlflow(str(tmp_path), "distill").start(RUN).end(status)
    assert [run.info.status for run in runs_in(str(tmp_path))[1]] == [wanted]


def test_jobs_that_begin_at_the_same_moment_share_one_experiment(tmp_path, runs_in):
    follow(Mlflow(str(tmp_path / "other"), "distill"))  # what is imported is imported
    jobs = [
        threading.Thread(target=follow, args=(Mlflow(str(tmp_path / "store"), "mine"),)) for _ in range(4)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    _, runs = runs_in(str(tmp_path / "store"))
    assert len(runs) == 4
    assert len({run.info.experiment_id for run in runs}) == 1


def test_more_settings_than_a_request_takes_are_all_kept(tmp_path, runs_in):
    many = {f"setting.{number}": number for number in range(250)}
    Mlflow(str(tmp_path), "distill").start(replace(RUN, settings=many)).end("finished")
    (run,) = runs_in(str(tmp_path))[1]
    assert len(run.data.params) == 250
