"""What a run tells whoever follows it, and that nobody who follows can harm it."""

import json
import logging
import math
import signal
import sys
import threading
import time

import pytest
from runs import RUN, Notes

from distill_cli.errors import ConfigError, Interrupted, TrainingDiverged
from distill_cli.trackers import guarded
from distill_cli.trackers.metrics_log import METRICS, MetricsLog
from distill_cli.trackers.tracker import need_package
from distill_cli.trackers.tracking import Trackers


@pytest.fixture
def said(caplog):
    """The lines that users see."""
    caplog.set_level(logging.INFO, "distill")
    return lambda: caplog.messages


def train(trackers: Trackers, error: BaseException | None = None) -> None:
    """Two epochs of which the first was trained before, and perhaps an end before the end."""
    with trackers.follow(RUN) as tracking:
        tracking.begin()
        tracking.epoch({"epoch": 1, "loss": 0.5}, 10, resumed=True)
        if error is not None:
            raise error
        tracking.epoch({"epoch": 2, "loss": 0.25, "validation_nll": math.nan}, 20)
        tracking.final({"test_top1": 0.75, "parameters": 1810, "gain": None, "device": "cpu"})


def test_every_tracker_is_told_the_epochs_in_order_and_of_the_finished_model():
    one, other = Notes(), Notes()
    train(Trackers({"one": one, "other": other}))
    assert one.told == other.told
    assert one.told == [
        ("start", RUN.name),
        (1, {"loss": 0.5}),
        (2, {"loss": 0.25}),
        (2, {"test_top1": 0.75, "parameters": 1810}),
        ("end", "finished"),
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TrainingDiverged("not finite"), "failed"),
        (Interrupted(143), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_tracker_learns_how_a_run_ended(error, status):
    notes = Notes()
    with pytest.raises(type(error)):
        train(Trackers({"notes": notes}), error)
    assert notes.told[-1] == ("end", status)


def test_nobody_is_told_of_a_run_that_never_begins(tmp_path):
    notes = Notes()
    with Trackers({"notes": notes}, MetricsLog.begin(tmp_path)).follow(RUN):
        pass
    assert notes.told == [] and list(tmp_path.iterdir()) == []


def test_metrics_are_a_line_of_json_an_epoch_and_one_of_the_finished_model(tmp_path):
    train(Trackers(log=MetricsLog.begin(tmp_path)))
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    same = {"schema": 1, "stage": "student", "key": RUN.key}
    assert lines == [
        {**same, "epoch": 1, "step": 10, "loss": 0.5, "resumed": True},
        {**same, "epoch": 2, "step": 20, "loss": 0.25, "validation_nll": None},
        {**same, "final": True, "test_top1": 0.75, "parameters": 1810},
    ]


def test_a_line_is_there_for_others_before_the_next_epoch_begins(tmp_path):
    with Trackers(log=MetricsLog.begin(tmp_path)).follow(RUN) as tracking:
        for epoch in (1, 2, 3):
            tracking.epoch({"epoch": epoch, "loss": 0.5}, epoch * 10)
            assert (tmp_path / METRICS).read_text().count("\n") == epoch


def test_what_an_earlier_command_left_in_the_directory_is_gone_and_no_empty_file_takes_its_place(tmp_path):
    (tmp_path / METRICS).write_text("old\n")
    log = MetricsLog.begin(tmp_path)
    assert not (tmp_path / METRICS).exists()
    train(Trackers(log=log))
    assert "old" not in (tmp_path / METRICS).read_text()


def test_a_log_that_cannot_be_written_is_one_line_and_the_run_goes_on(tmp_path, said):
    notes = Notes()
    train(Trackers({"notes": notes}, MetricsLog.begin(tmp_path / "nowhere")))
    assert said() == [
        f"{tmp_path}/nowhere/metrics.jsonl: No such file or directory; the run goes on without it"
    ]
    assert notes.told[-1] == ("end", "finished")


class Failing(Notes):
    """Fails at one of its moments, in one of several ways."""

    moment, error = "start", RuntimeError("the disk\nis full")

    def __getattribute__(self, name):
        if name == type(self).moment:
            raise type(self).error
        return super().__getattribute__(name)


@pytest.mark.parametrize("moment", ["start", "record", "end"])
@pytest.mark.parametrize(
    "error", [RuntimeError("the disk\nis full"), SystemExit("the disk is full")], ids=repr
)
def test_a_tracker_that_fails_at_any_moment_is_one_line_and_harms_neither_the_run_nor_the_others(
    said, moment, error
):
    failing, notes = type("Failing", (Failing,), {"moment": moment, "error": error})(), Notes()
    train(Trackers({"mine": failing, "notes": notes}))
    assert said() == ["mine: the disk is full; the run goes on without it"]
    assert len(notes.told) == 5


def test_a_password_in_an_address_is_not_said(said):
    error = OSError("no answer from https://me:secret@tracking.example.org/api")
    train(Trackers({"mine": type("Failing", (Failing,), {"moment": "start", "error": error})()}))
    assert said() == [
        "mine: no answer from https://tracking.example.org/api; the run goes on without it",
    ]


def test_a_key_in_an_address_is_not_said(said):
    error = OSError("403 for https://example.org/runs?api_key=secret (url: /runs?name=a&token=secret)")
    train(Trackers({"mine": type("Failing", (Failing,), {"moment": "start", "error": error})()}))
    assert said() == ["mine: 403 for https://example.org/runs (url: /runs); the run goes on without it"]


def test_a_tracker_that_failed_is_told_nothing_more(said):
    class FailsAtTheFirstEpoch(Notes):
        def record(self, epoch, figures):
            super().record(epoch, figures)
            raise OSError("gone")

    tracker = FailsAtTheFirstEpoch()
    train(Trackers({"mine": tracker}))
    assert tracker.told == [("start", RUN.name), (1, {"loss": 0.5})]
    assert said() == ["mine: gone; the run goes on without it"]


def test_a_package_that_fails_at_its_import_is_one_line(tmp_path, monkeypatch, said):
    (tmp_path / "broken_package.py").write_text("raise ImportError('numpy is too new')")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Imports(Notes):
        def start(self, run):
            import broken_package  # noqa: F401

            return super().start(run)

    train(Trackers({"mine": Imports()}))
    assert said() == ["mine: numpy is too new; the run goes on without it"]


def test_a_tracker_that_hangs_holds_up_no_epoch_and_the_end_only_for_so_long(monkeypatch, said):
    monkeypatch.setattr(guarded, "PATIENCE", {"finished": 0.2})
    answer = threading.Event()

    class Hangs(Notes):
        def start(self, run):
            answer.wait(30)
            return super().start(run)

    began = time.monotonic()
    train(Trackers({"mine": Hangs()}))
    assert time.monotonic() - began < 10
    answer.set()
    assert said() == ["mine: no answer within 0.2 s; the run goes on without it"]


class Silent(Notes):
    """A server that takes the call and never answers."""

    starts = 0

    def start(self, run):
        type(self).starts += 1
        threading.Event().wait()


@pytest.fixture
def silent(monkeypatch):
    """Trackers made anew for each job of a sweep, as Hydra makes them: equal, and not the same object."""
    monkeypatch.setattr(guarded, "_given_up", [])
    monkeypatch.setattr(Silent, "starts", 0)
    return lambda *names: Trackers({name: Silent() for name in names or ["mine"]})


def test_who_did_not_answer_once_is_not_tried_again_in_this_process(monkeypatch, silent, said):
    monkeypatch.setattr(guarded, "PATIENCE", {"finished": 0.3})
    for _ in range(3):
        train(silent())
    assert Silent.starts == 1 and said()[1:] == ["mine: no answer within 0.3 s; the run goes on without it"]


def test_who_did_not_start_once_is_not_tried_again_and_others_are(said):
    failing, notes = type("Failing", (Failing,), {}), Notes()
    for _ in range(2):
        train(Trackers({"mine": failing(), "notes": notes}))
    assert said() == ["mine: the disk is full; the run goes on without it"]
    assert notes.told.count(("end", "finished")) == 2


def test_one_patience_is_for_all_that_do_not_answer(monkeypatch, silent, said):
    monkeypatch.setattr(guarded, "PATIENCE", {"finished": 1.0})
    began = time.monotonic()
    train(silent("one", "two", "three"))
    assert time.monotonic() - began < 2
    assert said()[0] == "waiting for one, two, three (1 s at most); Ctrl-C leaves" and len(said()) == 4


@pytest.mark.parametrize(("error", "raised"), [(Interrupted(143), 143), (None, 130)], ids=["second", "first"])
def test_a_signal_ends_the_wait(monkeypatch, silent, error, raised):
    monkeypatch.setattr(guarded, "SILENCE", 0.01)
    monkeypatch.setattr(guarded, "say", lambda line: signal.raise_signal(signal.SIGINT))
    began = time.monotonic()
    with pytest.raises(Interrupted) as caught:
        train(silent(), error)
    assert caught.value.exit_code == raised and time.monotonic() - began < 5


def test_a_package_that_is_missing_is_named_with_what_to_type(tmp_path, monkeypatch):
    (tmp_path / "nothere").mkdir()  # as wandb leaves one behind
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        need_package("nothere", extra="wandb")
    assert str(caught.value) == "logger=wandb needs the extra: pip install 'distill-cli[wandb]'"


def test_choosing_a_tracker_imports_no_package():
    before = set(sys.modules)
    specs = {
        "tensorboard": {"_target_": "distill_cli.trackers.tensorboard.TensorBoard", "dir": "x"},
        "mlflow": {"_target_": "distill_cli.trackers.mlflow.Mlflow", "tracking_uri": "x", "experiment": "x"},
        "off": None,
    }
    assert Trackers.of(specs).chosen.keys() == {"tensorboard", "mlflow"}
    assert not {name.partition(".")[0] for name in set(sys.modules) - before} & {"tensorboard", "mlflow"}


def test_a_tracker_that_is_no_group_of_settings_is_refused():
    with pytest.raises(ConfigError, match=r"logger\.mlflow=True: choose trackers with logger=mlflow"):
        Trackers.of({"mlflow": True})
