"""A sweep ends with a table of what its jobs made, and no trouble with the table hides how the jobs went."""

import errno
import json
import sys
import types

import pytest
from command import within

from distill_cli.errors import ArtifactError, DataError, GateFailed


@pytest.fixture
def reported(monkeypatch):
    """The stage and the report are fakes; what the report was asked for."""
    stage, report, asked = types.ModuleType("stage"), types.ModuleType("report"), []

    def main(config, output):
        if config.seed == 1:
            raise DataError("seed 1 is unlucky")
        (output / "result.json").write_text(json.dumps({"stage": "distill", "seed": config.seed}))
        if config.seed == 99:
            raise GateFailed("made, but too bad")

    def report_sweep(directory, results, failures, jobs):
        asked.append((str(directory), [result["seed"] for result in results]))
        print("the table")

    stage.main, report.report_sweep = main, report_sweep
    monkeypatch.setitem(sys.modules, "distill_cli.stages.distill", stage)
    monkeypatch.setitem(sys.modules, "distill_cli.comparison.sweep", report)
    return asked


def failing(monkeypatch, error):
    def report_sweep(directory, results, failures, jobs):
        raise error

    monkeypatch.setattr(sys.modules["distill_cli.comparison.sweep"], "report_sweep", report_sweep)


def test_the_table_is_of_the_jobs_that_are_done_in_their_order(reported, capsys):
    ended = within(capsys, "-m", "hydra.sweep.dir=here", "seed=range(0,12)")
    assert reported == [("here", [0, *range(2, 12)])]
    assert ended.code == 5 and ended.out == "the table\n"
    assert ended.err.splitlines()[-2:] == [
        "12 jobs: 11 done, 1 failed (here)",
        "distill: error: #1 seed=1: seed 1 is unlucky",
    ]


def test_the_table_is_told_what_failed_and_of_how_many(reported, monkeypatch, capsys):
    told = []

    def report_sweep(directory, results, failures, jobs):
        told.append((len(results), failures, jobs))

    monkeypatch.setattr(sys.modules["distill_cli.comparison.sweep"], "report_sweep", report_sweep)
    within(capsys, "-m", "seed=1,2")
    assert told == [(1, ["#0 seed=1: seed 1 is unlucky"], 2)]


def test_a_student_that_missed_its_gate_is_in_it_and_has_failed(reported, capsys):
    ended = within(capsys, "-m", "hydra.sweep.dir=here", "seed=0,99,1")
    assert reported == [("here", [0, 99])]
    assert ended.code == 3
    assert ended.err.splitlines()[-3:] == [
        "3 jobs: 1 done, 2 failed (here)",
        "distill: error: #1 seed=99: made, but too bad",
        "distill: error: #2 seed=1: seed 1 is unlucky",
    ]


def test_what_an_earlier_sweep_made_in_the_directory_is_not_in_it(reported, capsys):
    within(capsys, "-m", "hydra.sweep.dir=here", "seed=2,3,4")
    within(capsys, "-m", "hydra.sweep.dir=here", "seed=5,6")
    assert reported[1] == ("here", [5, 6])


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ArtifactError("history.json is damaged"), 4, "no table of this sweep: history.json is damaged"),
        (OSError(errno.ENOSPC, "No space left on device"), 6, "No space left on device"),
        (KeyError("top1"), 1, "internal error: KeyError"),
    ],
)
def test_a_table_that_cannot_be_made_is_one_line_and_the_exit_code(
    reported, monkeypatch, capsys, error, code, line
):
    failing(monkeypatch, error)
    ended = within(capsys, "-m", "seed=2,3")
    complaint, summary = ended.err.splitlines()[-2:]
    assert ended.code == code
    assert complaint.startswith("distill: error: ") and line in complaint
    assert summary.startswith("2 jobs: 2 done, 0 failed")


def test_the_failure_of_a_job_counts_more_than_that_of_the_table(reported, monkeypatch, capsys):
    failing(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    ended = within(capsys, "-m", "seed=1,2")
    assert ended.code == 5
    assert "seed 1 is unlucky" in ended.err.splitlines()[-1]


def test_a_sweep_of_one_is_a_sweep_where_it_says_so(reported, capsys):
    assert within(capsys, "-m", "seed=range(0,1)").code == 0
    assert reported[0][1] == [0]
