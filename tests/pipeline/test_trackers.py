"""Trackers beside real runs on digits: complete, in everybody's way never, and without a trace in what is made."""

import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from tool import QUICK, contents, distill

from distill_cli.errors import ConfigError, Interrupted
from distill_cli.runtime.signals import StopRequest
from distill_cli.stages import distill as distill_stage
from distill_cli.stages import evaluate, gen_soft_labels, train_teacher
from distill_cli.stages.tracking import track_report
from distill_cli.trackers import tracker
from distill_cli.trackers.metrics_log import MetricsLog
from distill_cli.trackers.tracking import Trackers

BOTH = "logger=[tensorboard,mlflow]"


def lines_of(directory) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def mlflow_runs(directory) -> dict[str, object]:
    """By stage, of the newest of each."""
    mlflow = pytest.importorskip("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        client = mlflow.MlflowClient(tracking_uri=str(directory))
        runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return {run.data.tags["stage"]: run for run in sorted(runs, key=lambda run: run.info.start_time)}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A directory in which `distill run` was typed with two trackers."""
    pytest.importorskip("tensorboard")
    pytest.importorskip("mlflow")
    directory = tmp_path_factory.mktemp("project")
    done = distill("run", BOTH, *QUICK, cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory, done


def test_metrics_of_every_model_lie_beside_the_result(project):
    directory, _ = project
    (output,) = (directory / "outputs/run").iterdir()
    result, lines = json.loads((output / "result.json").read_text()), lines_of(output)
    verbs = {"teacher": "train-teacher", "student": "distill", "baseline": "baseline"}
    for stage, epochs in {"teacher": 3, "student": 5, "baseline": 5}.items():
        *history, final = [line for line in lines if line["stage"] == stage]
        assert [line["epoch"] for line in history] == [*range(1, epochs + 1)]
        assert {"schema", "key", "step", "loss", "lr"} <= history[0].keys()
        assert history[-1]["validation_top1"] == final["validation_top1"]
        made = result["stages"][verbs[stage]]
        assert {line["key"] for line in (*history, final)} == {made["key"]}
        assert final["final"] and final["test_top1"] == made["metrics"]["test_top1"]


def test_each_model_is_a_run_of_each_tracker_with_the_figures_of_metrics_jsonl(project):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    directory, _ = project
    (output,) = (directory / "outputs/run").iterdir()
    runs = mlflow_runs(directory / "outputs/mlruns")
    for stage in ("teacher", "student", "baseline"):
        *history, final = [line for line in lines_of(output) if line["stage"] == stage]
        (events,) = (directory / "outputs/tensorboard" / stage).iterdir()
        assert events.name.endswith(final["key"][:12]) and events.name == runs[stage].info.run_name
        points = EventAccumulator(str(events)).Reload().Scalars("loss")
        assert [(p.step, p.value) for p in points] == [
            (line["epoch"], pytest.approx(line["loss"])) for line in history
        ]
        assert runs[stage].data.metrics["test_top1"] == final["test_top1"]
        assert runs[stage].info.status == "FINISHED"
    assert runs["student"].data.params["temperature"] and "temperature" not in runs["baseline"].data.params


def test_trackers_add_nothing_to_what_a_user_reads(project):
    _, done = project
    for word in ("mlflow", "MLflow", "tensorboard", "INFO", "Warning", "Traceback"):
        assert word not in done.stdout + "\n".join(
            line for line in done.stderr.splitlines() if not line.startswith("next: ")
        )


def test_a_command_with_nothing_to_do_imports_no_tracker_and_leaves_no_metrics(project):
    directory, _ = project
    code = (
        "import atexit, sys\n"
        "names = ('torch', 'tensorboard', 'mlflow')\n"
        "atexit.register(lambda: print([n for n in names if n in sys.modules], file=sys.stderr))\n"
        "from distill_cli.cli import app\n"
        f"sys.argv = ['distill', 'distill', {BOTH!r}, *{list(QUICK)!r}]\n"
        "app()\n"
    )
    again = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0 and again.stderr.endswith("[]\n"), again.stderr
    (output,) = (directory / "outputs/distill").iterdir()
    assert (output / "result.json").exists() and not (output / "metrics.jsonl").exists()


def test_artefacts_are_the_same_bytes_with_trackers_and_without(project, session):
    directory, _ = project
    plain = replace(session(*QUICK), words=QUICK)
    for stage in (train_teacher, gen_soft_labels, distill_stage):
        stage.run(plain)
    distill_stage.run_baseline(plain)
    evaluate.run(plain)
    plan = plain.plan
    for place in (plan.teacher, plan.student, plan.baseline, plan.evaluation()):
        there = directory / "artifacts" / place.directory.parent.name / place.directory.name
        assert contents(there) == contents(place.directory)


def test_no_key_knows_of_trackers(session):
    plain, followed = session().plan, session(BOTH).plan
    assert plain.student.key == followed.student.key and plain.teacher.key == followed.teacher.key


class Listens:
    """A tracker with an address, which notes the commands that it is told."""

    told: ClassVar[list[str]] = []

    def __init__(self, uri):
        pass

    def start(self, run):
        self.told.append(run.command)
        return self

    def record(self, epoch, figures):
        pass

    def end(self, status):
        pass


def test_a_password_in_the_address_of_a_tracker_is_neither_kept_nor_sent_nor_said(session, tmp_path, capsys):
    words = (
        "teacher.epochs=1",
        "student.epochs=1",
        "evaluate.latency=false",
        "+logger.mine._target_=test_trackers.Listens",
        '+logger.mine.uri="https://me:hunter2@x@example.org/x?api_key=hunter2"',
    )
    called = replace(session(*words), words=words)
    output = tmp_path / "output"
    output.mkdir()
    for stage in (train_teacher, gen_soft_labels, distill_stage, evaluate):
        called.write_result(output, stage.run(called).document())
    called.suggest("evaluate")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"build.json", "report.json", "result.json"} <= {path.name for path in files}
    assert not [path for path in files if b"hunter2" in path.read_bytes() or b"logger" in path.read_bytes()]
    assert len(Listens.told) == 3 and not [command for command in Listens.told if "logger" in command]
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err and '+logger.mine.uri="https://example.org/x"' in said.err


class StopsAfter(StopRequest):
    """A signal that comes in some step; the loop looks once a step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def __bool__(self) -> bool:
        self.left -= 1
        self.exit_code = 143 if self.left <= 0 else None
        return super().__bool__()


def test_an_interrupted_run_says_so_and_the_one_that_resumes_tells_all_of_it(session, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from distill_cli.stages.jobs import train

    def start(output):
        output.mkdir()
        plain = session(*QUICK, "alpha=0", "logger=mlflow", f"paths.outputs={tmp_path}")
        log = MetricsLog.begin(output)
        return distill_stage.run(replace(plain, trackers=replace(plain.trackers, log=log)))

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(train, "graceful", lambda: nullcontext(StopsAfter(50)))  # of 20 in an epoch
        start(tmp_path / "cut")
    assert mlflow_runs(tmp_path / "mlruns")["baseline"].info.status == "KILLED"
    assert start(tmp_path / "again").status == "resumed"
    *history, final = lines_of(tmp_path / "again")
    assert [line["epoch"] for line in history] == [1, 2, 3, 4, 5] and final["final"]
    resumed = [line for line in history if line.pop("resumed", False)]
    assert resumed == lines_of(tmp_path / "cut") and len(resumed) == 2
    run = mlflow_runs(tmp_path / "mlruns")["baseline"]
    assert run.info.status == "FINISHED" and run.data.metrics["loss"] == history[-1]["loss"]


class Broken:
    """Fails at the first epoch."""

    def start(self, run):
        return self

    def record(self, epoch, figures):
        raise OSError("the server has left")

    def end(self, status):
        raise AssertionError("nobody is told anything after a failure")


def test_a_tracker_that_fails_stops_no_training(session, tmp_path, capsys):
    words = ("+logger.mine._target_=test_trackers.Broken", "alpha=0")
    broken = session(*QUICK, *words)
    broken = replace(broken, trackers=replace(broken.trackers, log=MetricsLog.begin(tmp_path)))
    result = distill_stage.run(broken)
    assert result.status == "built"
    assert len(lines_of(tmp_path)) == 6
    assert capsys.readouterr().err.count("mine: the server has left; the run goes on without it\n") == 1


class Looks:
    """Notes which students are there when it is told of the end."""

    seen: ClassVar[list[str]] = []

    def start(self, run):
        return self

    def record(self, epoch, figures):
        pass

    def end(self, status):
        self.seen[:] = [path.name for path in Path.cwd().glob("artifacts/students/[!.]*")]


def test_a_tracker_is_waited_for_only_when_the_model_is_in_its_place(session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = distill_stage.run(session(*QUICK, "+logger.mine._target_=test_trackers.Looks", "alpha=0"))
    assert Looks.seen == [result.place.directory.name]


def test_a_missing_extra_is_known_before_anything_is_done(session, monkeypatch):
    monkeypatch.setattr(tracker, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        session("logger=mlflow")
    assert str(caught.value) == "logger=mlflow needs the extra: pip install 'distill-cli[mlflow]'"
    assert caught.value.exit_code == 2


def test_the_figures_of_a_report_can_be_followed_too(session, tmp_path):
    report = {
        "models": {"teacher": {"top1": 0.9}, "student": {"top1": 0.8, "ece": None}, "baseline": None},
        "comparison": {"drop": 0.1, "gain": None, "mcnemar": {"p": 0.5}},
    }
    plain = session()
    follower = replace(plain, trackers=Trackers(log=MetricsLog.begin(tmp_path)))
    track_report(follower, plain.plan.evaluation(), report, "distill run")
    (line,) = lines_of(tmp_path)
    figures = {name: line[name] for name in line if name not in ("schema", "stage", "key", "final")}
    assert line["stage"] == "report" and figures == {"teacher/top1": 0.9, "student/top1": 0.8, "drop": 0.1}


def test_the_tracker_shown_in_the_docs_follows_a_run(tmp_path):
    page = (Path(__file__).parents[2] / "docs/trackers.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"^```\w+ (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    words = ("distill", "--config-dir", "my", "logger=csv", "alpha=0", "student.epochs=2")
    done = distill(*words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == 0 and "goes on without" not in done.stderr, done.stderr
    (file,) = tmp_path.glob("outputs/csv/baseline-*.csv")
    rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
    assert [row[0] for row in rows if row[1] == "loss"] == ["1", "2"]
