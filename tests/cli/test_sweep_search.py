"""`hydra/sweeper=optuna` looks for the best validation accuracy, and lives with trials that fail."""

import sys
import types
from pathlib import Path

import pytest
import yaml
from command import within

from distill_cli.errors import DataError, GateFailed

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
pytestmark = pytest.mark.filterwarnings("ignore:.*declarative_base:DeprecationWarning")  # optuna 2's, unseen

SEARCH = ("-m", "hydra/sweeper=optuna", "hydra.sweep.dir=here")


@pytest.fixture
def tried(monkeypatch):
    """The temperatures that were tried; 8 is the best of them, and above 16 a trial fails."""
    module, temperatures = types.ModuleType("distill_cli.stages.distill"), []

    def main(config, output):
        temperatures.append(config.temperature)
        if config.temperature > 16:
            raise DataError("too hot")
        (output / "result.json").write_text('{"stage": "gen-soft-labels"}')
        accuracy = 1 - abs(config.temperature - 8) / 20
        if config.alpha == 0.5:
            missed = GateFailed("made, but too bad")
            missed.accuracy = accuracy
            raise missed
        return accuracy

    module.main = main
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return temperatures


def best() -> dict[str, object]:
    return yaml.safe_load(Path("here", "optimization_results.yaml").read_text())


def test_it_maximises_validation_accuracy(tried, capsys):
    ended = within(capsys, *SEARCH, "temperature=interval(1,16)", "hydra.sweeper.n_trials=30")
    assert ended.code == 0 and len(tried) == 30
    assert (
        best()["best_params"]["temperature"]
        == min(tried, key=lambda t: abs(t - 8))
        == pytest.approx(8, abs=1)
    )
    assert ended.err.splitlines()[-1] == "30 jobs: 30 done, 0 failed (here)"


def test_nothing_but_the_jobs_is_on_the_screen(tried, capsys):
    ended = within(capsys, *SEARCH, "temperature=interval(1,16)", "hydra.sweeper.n_trials=2")
    assert ended.out == ""
    assert [line.split(" ")[0] for line in ended.err.splitlines()] == ["#0", "#1", "2"]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_command_tries_the_same_settings(tried, capsys, sampler):
    words = (
        *SEARCH,
        f"hydra/sweeper/sampler={sampler}",
        "temperature=interval(1,16)",
        "hydra.sweeper.n_trials=12",
    )
    within(capsys, *words)
    first = tried[:]
    within(capsys, *words)
    assert tried == [*first, *first] and len(set(first)) > 1


def test_a_failed_trial_stops_no_other_and_is_named_in_the_end(tried, capsys):
    ended = within(capsys, *SEARCH, "temperature=choice(4,8,20)", "hydra.sweeper.n_trials=10")
    failed = tried.count(20)
    assert ended.code == 5 and len(tried) == 10 and 0 < failed < 10
    assert best()["best_params"] == {"temperature": 8}
    assert f"10 jobs: {10 - failed} done, {failed} failed (here)" in ended.err
    assert ended.err.splitlines()[-1].endswith("temperature=20: too hot")
    assert "Failed experiment" not in ended.err


def test_a_search_in_which_every_trial_failed_ends_in_good_order(tried, capsys):
    ended = within(capsys, *SEARCH, "temperature=interval(17,20)", "hydra.sweeper.n_trials=3")
    assert ended.code == 5 and len(tried) == 3
    assert ended.err.splitlines()[-4] == "3 jobs: 0 done, 3 failed (here)"


def test_too_many_failures_end_it_if_one_says_how_many_are(tried, capsys):
    ended = within(
        capsys,
        *SEARCH,
        "temperature=interval(17,20)",
        "hydra.sweeper.max_failure_rate=0.5",
        "hydra.sweeper.n_trials=9",
    )
    assert ended.code == 5 and len(tried) == 1
    assert "more trials failed than hydra.sweeper.max_failure_rate allows" in ended.err
    assert "1 job: 0 done, 1 failed (here)" in ended.err


def test_a_study_that_is_stored_goes_on(tried, capsys):
    stored = (
        "hydra.sweeper.storage=sqlite:///study.db",
        "hydra.sweeper.study_name=mine",
        "hydra.sweeper.n_trials=3",
    )
    assert within(capsys, *SEARCH, "temperature=choice(8)", *stored).code == 0
    ended = within(capsys, *SEARCH, "temperature=choice(8)", "seed=1", *stored)
    assert ended.code == 0, ended.err
    import optuna

    study = optuna.load_study("mine", "sqlite:///study.db")
    assert len(study.trials) == 6 and study.direction.name == "MAXIMIZE"


def test_a_verb_without_a_validation_accuracy_says_so(monkeypatch, capsys):
    module = types.ModuleType("distill_cli.stages.distill")
    module.main = lambda config, output: None
    monkeypatch.setitem(sys.modules, module.__name__, module)
    ended = within(capsys, *SEARCH, "temperature=interval(1,2)")
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == (
        "distill: error: a search needs the validation accuracy, and this command has none to give"
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["temperature=interval(2,1)"], "temperature=interval(2,1): an interval goes from a smaller number"),
        (["temperature=tag(log,interval(0,2))"], "an interval on a log scale starts above 0"),
        (["temperature=choice(2,2)"], "temperature=2 is there more than once"),
        (["temperature=range(5,1)"], "the search cannot start: "),
        (["temperature=1,2", "hydra.sweeper.direction=minimze"], "must be maximize or minimize"),
        (
            ["temperature=1,2", "hydra.sweeper.study_name=x", "hydra.sweeper.storage=sqlite:////nope/x.db"],
            "hydra.sweeper.storage=sqlite:////nope/x.db: cannot be opened; unable to open",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_search_that_cannot_start_is_one_line_and_starts_no_job(tried, capsys, words, complaint):
    ended = within(capsys, *SEARCH, *words)
    assert ended.code == 2 and complaint in ended.line and tried == []


def test_a_trial_that_missed_its_gate_counts_with_its_accuracy(tried, capsys):
    ended = within(capsys, *SEARCH, "temperature=choice(4,8)", "alpha=0.5", "hydra.sweeper.n_trials=6")
    assert ended.code == 3 and {4, 8} == set(tried)
    assert best()["best_params"] == {"temperature": 8} and best()["best_value"] == 1
    assert "6 jobs: 0 done, 6 failed (here)" in ended.err
