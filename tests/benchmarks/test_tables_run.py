"""Making a table: what is missing is run and recorded, what is there is not, and nothing is lost on the way.

Two real runs of the digits; elsewhere a stand-in for `distill` leaves their result.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from table_parts import ROOT, a_run, described, table_modules

from distill_cli.errors import ConfigError

QUICK = "teacher.epochs=1 student.epochs=1"
TEXT = f"""
title: Tiny
about: What is published.
measure: errors
seeds: [0]
published_runs: 1
common: {QUICK} seed={{seed}}
rows:
  - {{label: teacher, of: teacher, published: 67}}
  - {{label: alone, of: baseline}}
  - {{label: distilled}}
  - {{label: 3s, measure: recall of 3, of: baseline}}
  - {{label: diverges, run: student.optimizer.lr=1e30 alpha=0}}
"""
STAND_IN = """#!{python}
import json, os, pathlib, signal, sys, time
words = dict(word.partition("=")[::2] for word in sys.argv[2:])
output = pathlib.Path(words["hydra.run.dir"])
pathlib.Path("{directory}/calls.txt").open("a").write(" ".join(sys.argv[1:]) + "\\n")
if words.get("seed") == "1" and pathlib.Path("{directory}/slow").exists():
    def stop(number, frame):
        pathlib.Path("{directory}/saved").write_text("checkpoint")
        raise SystemExit(130 if number == signal.SIGINT else 143)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    pathlib.Path("{directory}/slow").write_text("at work")
    time.sleep(60)
output.mkdir(exist_ok=True)
result = json.loads(pathlib.Path("{directory}/result.json").read_text())
keys = json.loads(pathlib.Path("{directory}/keys.json").read_text())[words.get("seed", "")]
for verb, stage in [*result["stages"].items(), (sys.argv[1], result)]:
    stage["key"] = keys.get(verb, "k")
(output / "result.json").write_text(json.dumps(result))
"""


@pytest.fixture(scope="module")
def modules():
    with table_modules() as found:
        yield found


@pytest.fixture(scope="module")
def made(modules, tmp_path_factory):
    """A table of which one row cannot be made, after `make table`; its artefacts are gone by now."""
    directory = tmp_path_factory.mktemp("made")
    settings = modules.settings.Settings(
        words=("device=cpu",),
        places=(f"paths.artifacts={directory / 'artifacts'}",),
        descriptions=described(directory / "tables", TEXT),
        results=directory / "results",
    )
    code = modules.command.make_page("tiny", settings)
    shutil.rmtree(directory / "artifacts")
    return settings, code


@pytest.fixture
def again(made, tmp_path):
    """The same table with a copy of what is recorded, to be spoilt."""
    settings, _ = made
    for name in ("tables", "results"):
        shutil.copytree(settings.descriptions.parent / name, tmp_path / name)
    return replace(settings, descriptions=tmp_path / "tables", results=tmp_path / "results", words=())


@pytest.fixture
def stand_in(modules, made, tmp_path, monkeypatch):
    """In place of `distill`: it notes its words, and leaves what the real one left."""
    command = tmp_path / "distill"
    command.write_text(STAND_IN.format(python=sys.executable, directory=tmp_path))
    command.chmod(0o755)
    (record,) = recorded(made[0])["runs"].values()
    stage = {"artifact": str(tmp_path), "seconds": {}, "environment": {}, "metrics": {"views": 8, "bytes": 9}}
    stages = dict.fromkeys(modules.recording.STAGES.values(), stage)
    result = {**stage, "key": "k", "models": record["figures"], "stages": stages}
    (tmp_path / "result.json").write_text(json.dumps(result))
    with modules.keys.planning() as keys_of:
        planned = {seed: keys_of(f"{QUICK} seed={seed}", ()) for seed in "012"} | {"": {"student": "x"}}
    keys = {
        seed: {modules.recording.STAGES[role]: key for role, key in of_seed.items()}
        for seed, of_seed in planned.items()
    }
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (tmp_path / "report.json").write_text(json.dumps({"per_class": []}))
    monkeypatch.setattr(modules.calls, "COMMAND", command)
    return tmp_path


def recorded(settings, name="tiny"):
    return json.loads((settings.results / f"{name}.json").read_text())


def page(settings, name="tiny"):
    return (settings.results / f"{name}.md").read_text()


def missing(modules, settings):
    table = modules.expansion.read_table(settings.descriptions, "tiny")
    return modules.runs.missing(table, modules.command.results_of(table, settings), settings)


def calls(directory):
    path = directory / "calls.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_a_run_is_recorded_with_keys_figures_and_machine(made):
    (run,) = recorded(made[0])["runs"].items()
    words, found = run
    assert words == f"{QUICK} seed=0"
    assert found["keys"].keys() == {"teacher", "soft_labels", "student", "baseline"}
    assert found["figures"]["student"].keys() == {"top1", "samples", "parameters", "recall"}
    assert found["figures"]["teacher"]["samples"] == 429 and found["soft_labels"]["views"] == 8
    assert found["machine"]["device"] == "cpu" and found["seconds"]["teacher"] > 0


def test_a_row_that_fails_loses_no_other_and_is_said(made):
    settings, code = made
    assert code == 1
    (why,) = recorded(settings)["failed"].values()
    assert "diverged" in why
    assert "| diverges | failed |" in page(settings) and f"1. Failed: {why}"[:60] in page(settings)
    assert "| distilled | not run" not in page(settings)


def test_what_is_recorded_is_not_run_again_though_its_artefacts_are_gone(modules, made):
    assert [one.run for one in missing(modules, made[0])] == [
        f"{QUICK} seed=0 student.optimizer.lr=1e30 alpha=0"
    ]


def test_figures_of_other_keys_are_dropped_and_made_again(modules, again, stand_in):
    document = recorded(again)
    (run,) = document["runs"]
    now = document["runs"][run]["keys"]
    document["runs"][run]["keys"] = {**now, "student": "of another config"}
    (again.results / "tiny.json").write_text(json.dumps(document))
    assert run in [one.run for one in missing(modules, again)]
    chosen = replace(again, rows=("distilled",))
    assert modules.command.make_page("tiny", replace(chosen, only="missing")) == 0 and not calls(stand_in)
    modules.command.make_page("tiny", chosen)
    assert len(calls(stand_in)) == 1 and recorded(again)["runs"][run]["keys"] == now


def test_a_page_shows_no_figures_of_other_keys_whoever_is_asked_for(modules, three_seeds, stand_in):
    assert modules.command.make_page("tiny", three_seeds) == 0
    document = recorded(three_seeds)
    for run, found in document["runs"].items():
        found["keys"]["student"] += "" if run.endswith("seed=0") else " of another config"
    (three_seeds.results / "tiny.json").write_text(json.dumps(document))
    assert modules.command.make_page("tiny", replace(three_seeds, only="page")) == 0
    assert "**2 of 3 runs are missing**" in page(three_seeds)
    assert [run[-6:] for run in recorded(three_seeds)["runs"]] == ["seed=0"]
    (three_seeds.results / "tiny.json").write_text(json.dumps(document))
    assert modules.command.make_page("tiny", replace(three_seeds, seeds=(1,))) == 0
    assert "**1 of 3 runs are missing**" in page(three_seeds)


def test_a_page_without_its_data_is_written_and_says_that_keys_were_not_checked(
    modules, three_seeds, tmp_path, capsys
):
    text = (three_seeds.descriptions / "tiny.yaml").read_text()
    described(three_seeds.descriptions, text.replace("common: ", "common: data=flowers "))
    (run, *_) = modules.expansion.read_table(three_seeds.descriptions, "tiny").runs
    modules.records.Results(three_seeds.results / "tiny.json", {run: a_run("0")}).write()
    places = (f"paths.data={tmp_path / 'nothing'}",)
    assert modules.command.make_page("tiny", replace(three_seeds, only="page", places=places)) == 0
    assert "were not all checked" in capsys.readouterr().err
    assert "**2 of 3 runs are missing**" in page(three_seeds) and "| distilled | 200" in page(three_seeds)


def test_processes_lose_nothing_of_each_other(modules, tmp_path):
    path = tmp_path / "tiny.json"
    former = a_run("of another config")
    modules.records.Results(path, {"a=1": former}).write()
    one, other = modules.records.Results.at(path), modules.records.Results.at(path)
    one.drop(["a=1"])
    other.drop(["a=1"])
    other.keep("a=1", a_run("new"))
    other.fail("a=2", "no disk")
    one.keep("a=3", a_run("3"))
    found = json.loads(path.read_text())
    assert found["runs"] == {"a=1": a_run("new"), "a=3": a_run("3")} and found["failed"] == {"a=2": "no disk"}


RECORD = """
import sys
sys.path.insert(0, {benchmarks!r})
from pathlib import Path
from tables.records import Results
results = Results.at(Path({path!r}))
for number in range(40):
    results.keep(f"{{sys.argv[1]}}={{number}}", {run})
"""


def test_processes_that_record_at_the_same_time_lose_nothing(tmp_path):
    code = RECORD.format(benchmarks=str(ROOT / "benchmarks"), path=str(tmp_path / "t.json"), run=a_run("x"))
    several = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "ab"]
    assert [one.wait() for one in several] == [0, 0]
    assert len(json.loads((tmp_path / "t.json").read_text())["runs"]) == 80


def test_other_words_for_the_same_keys_are_the_same_run(modules, again):
    text = (again.descriptions / "tiny.yaml").read_text()
    described(again.descriptions, text.replace("common: ", "common: evaluate.ece_bins=10 "))
    assert len(missing(modules, again)) == 1  # the one that failed
    assert modules.command.make_page("tiny", replace(again, rows=("distilled",))) == 0
    assert list(recorded(again)["runs"]) == [f"evaluate.ece_bins=10 {QUICK} seed=0"]


def test_what_another_process_records_meanwhile_is_kept_and_not_made_twice(modules, again, stand_in):
    table = modules.expansion.read_table(again.descriptions, "tiny")
    ours = modules.records.Results(again.results / "tiny.json")
    (run,) = recorded(again)["runs"]
    keys = recorded(again)["runs"][run]["keys"]
    modules.runs.make(
        table, [modules.runs.Missing(run, keys), modules.runs.Missing("a=1", {"student": "x"})], ours, again
    )
    assert len(calls(stand_in)) == 1 and {run, "a=1"} <= recorded(again)["runs"].keys()


def test_a_figure_that_was_not_looked_at_is_a_reason_to_run(modules, again):
    text = (again.descriptions / "tiny.yaml").read_text()
    described(again.descriptions, text.replace("recall of 3", "recall of 5"))
    assert len(missing(modules, again)) == 2


def test_words_beside_a_table_may_not_change_its_results(modules, again, stand_in, capsys, monkeypatch):
    monkeypatch.setenv("BENCH_TABLES", str(again.descriptions))
    monkeypatch.setenv("BENCH_RESULTS", str(again.results))
    assert modules.command.main(["tiny", "student.epochs=2"]) == 2
    assert "ARGS=student.epochs=2 would change the results" in capsys.readouterr().err
    assert calls(stand_in) == []


def test_words_beside_a_table_may_not_make_all_seeds_one(modules, three_seeds, stand_in):
    with pytest.raises(modules.keys.CannotRun, match="ARGS=seed=0 would change the results"):
        modules.command.make_page("tiny", replace(three_seeds, words=("seed=0",)))
    assert calls(stand_in) == []


def test_what_was_made_with_another_config_than_planned_is_no_figure(modules, three_seeds, stand_in):
    keys = json.loads((stand_in / "keys.json").read_text())
    keys["1"]["distill"] = "of a config that was changed meanwhile"
    (stand_in / "keys.json").write_text(json.dumps(keys))
    assert modules.command.make_page("tiny", three_seeds) == 1
    document = recorded(three_seeds)
    assert [run[-6:] for run in document["runs"]] == ["seed=0", "seed=2"]
    assert list(document["failed"].values()) == ["made with another config than was planned: student"]


def test_results_of_an_older_schema_are_made_anew_and_never_mixed(modules, again, capsys):
    (again.results / "tiny.json").write_text('{"schema": 0, "runs": {"a": 1}}')
    assert len(missing(modules, again)) == 2
    assert capsys.readouterr().err.count("made anew") == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("<<<<<<< HEAD\n{}", "conflict markers"),
        ("[]", "holds no results"),
        ('{"schema": 99, "runs": {}, "failed": {}}', "is of schema 99, newer than 1; update"),
        ('{"schema": 1}', "not whole: `runs` is missing"),
        ('{"schema": 1, "runs": [], "failed": {}}', "not whole: runs: "),
        ('{"schema": 1, "runs": {}, "failed": null}', "not whole: failed: None must be reasons"),
        ('{"schema": 1, "runs": {"a=1": {"keys": {}}}, "failed": {}}', "not whole: `figures` is missing"),
    ],
    ids=["markers", "list", "newer", "nothing", "runs", "failed", "figures"],
)
@pytest.mark.parametrize("only", ["", "page"])
def test_results_that_cannot_be_read_are_refused_and_kept(
    modules, again, content, why, only, monkeypatch, capsys
):
    for name, value in (("TABLES", again.descriptions), ("RESULTS", again.results), ("ONLY", only)):
        monkeypatch.setenv(f"BENCH_{name}", str(value))
    path = again.results / "tiny.json"
    path.write_text(content)
    assert modules.command.main(["tiny"]) == 4
    told = capsys.readouterr().err
    assert why in told and told.count("\n") == 1 and path.read_text() == content


def test_missing_data_is_one_line_before_anything_is_run(modules, stand_in, tmp_path, monkeypatch, capsys):
    text = TEXT.replace("common: ", "common: data=flowers ").replace(
        "rows:", "rows:\n  - {label: A, run: data=digits}"
    )
    monkeypatch.setenv("BENCH_TABLES", str(described(tmp_path / "tables", text)))
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "nothing"))
    assert modules.command.main(["tiny"]) == 5
    assert capsys.readouterr().err.count("\n") == 1
    assert calls(stand_in) == [] and not (tmp_path / "results").exists()


def test_what_is_missing_can_be_listed_without_running_it(modules, again, stand_in, capsys):
    modules.command.make_page("tiny", replace(again, only="missing"))
    assert capsys.readouterr().out == f"distill run {QUICK} seed=0 student.optimizer.lr=1e30 alpha=0\n"
    assert calls(stand_in) == []


@pytest.fixture
def three_seeds(modules, stand_in, tmp_path):
    text = TEXT.replace("seeds: [0]", "seeds: [0, 1, 2]").split("  - {label: 3s")[0]
    return modules.settings.Settings(
        descriptions=described(tmp_path / "tables", text), results=tmp_path / "results"
    )


def test_rows_and_seeds_can_be_chosen(modules, three_seeds, stand_in):
    modules.command.make_page("tiny", replace(three_seeds, rows=("dist",), seeds=(2,)))
    (call,) = calls(stand_in)
    assert "seed=2" in call and "evaluate.latency=false" in call
    assert "**2 of 3 runs are missing**" in page(three_seeds)


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ("K = 1", ["K = 1"]),
        ("one / K = 1", ["K = 1"]),
        ("K =", ["K = 1", "K = 16", "K = 1, online"]),
        ("K = 1, online;", ["K = 1, online"]),
        ("K = 1\nK = 16", ["K = 1", "K = 16"]),
        ("K = 16,K = 1", ["K = 1", "K = 16"]),
    ],
)
def test_a_row_is_chosen_by_its_name_or_else_by_a_part_of_it(modules, tmp_path, rows, chosen):
    labels = ["K = 1", "K = 16", "K = 1, online"]
    listed = "".join(f"  - {{label: '{label}', run: a={n}}}\n" for n, label in enumerate(labels))
    text = f"title: T\nabout: A.\nmeasure: top1\nseeds: [0]\nsections: [{{title: one}}]\nrows:\n{listed}"
    table = modules.expansion.read_table(described(tmp_path, text), "tiny")
    settings = modules.settings.Settings.of({"BENCH_ROWS": rows}, ())
    assert settings.chosen(table) == [f"a={labels.index(label)}" for label in chosen]


@pytest.mark.parametrize(
    ("knob", "value", "complaint"),
    [
        ("ROWS", "distiled", "BENCH_ROWS: no row is called distiled; there are teacher; alone; distilled"),
        ("SEEDS", "7", "BENCH_SEEDS=7: the seeds are 0, 1, 2"),
        ("SEEDS", "²", "BENCH_SEEDS=² must be numbers"),
    ],
)
def test_a_choice_of_nothing_is_one_line(
    modules, three_seeds, stand_in, monkeypatch, capsys, knob, value, complaint
):
    monkeypatch.setenv("BENCH_TABLES", str(three_seeds.descriptions))
    monkeypatch.setenv("BENCH_RESULTS", str(three_seeds.results))
    monkeypatch.setenv(f"BENCH_{knob}", value)
    assert modules.command.main(["tiny"]) == 2
    told = capsys.readouterr().err
    assert complaint in told and told.count("\n") == 1 and not calls(stand_in)


def test_a_failure_of_a_row_that_was_not_asked_for_is_no_failure(modules, again):
    assert modules.command.make_page("tiny", replace(again, rows=("distilled",))) == 0


def test_a_place_that_cannot_be_written_to_is_one_line(modules, three_seeds, stand_in, monkeypatch, capsys):
    (stand_in / "file").touch()
    monkeypatch.setenv("BENCH_TABLES", str(three_seeds.descriptions))
    monkeypatch.setenv("BENCH_RESULTS", str(stand_in / "file" / "results"))
    assert modules.command.main(["tiny"]) == 2
    assert "BENCH_RESULTS=DIR names another place" in capsys.readouterr().err.splitlines()[-1]
    assert calls(stand_in) == []


def test_a_device_that_is_not_there_is_found_before_the_first_run(modules, three_seeds, stand_in):
    with pytest.raises(ConfigError, match="device=nosuch: must be auto, cpu"):
        modules.command.make_page("tiny", replace(three_seeds, words=("device=nosuch",)))
    assert calls(stand_in) == [] and not three_seeds.results.exists()


def test_words_beside_a_table_do_not_move_where_results_are_looked_for(modules, three_seeds, stand_in):
    words = (f"hydra.run.dir={stand_in / 'elsewhere'}",)
    assert modules.command.make_page("tiny", replace(three_seeds, words=words, seeds=(0,))) == 0
    assert "elsewhere" not in calls(stand_in)[0]


def test_photos_that_are_not_there_come_with_where_to_get_them(modules, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))
    assert modules.command.main(["flowers"]) == 5
    told = capsys.readouterr().err
    assert "get TensorFlow's flower_photos" in told and "below BENCH_DATA=DIR" in told
    assert told.count("\n") == 1 and "paths.data" not in told


def test_without_baselines_the_stages_are_called_one_by_one(modules, three_seeds, stand_in):
    text = (three_seeds.descriptions / "tiny.yaml").read_text() + "baseline: false\n"
    text = text.replace("  - {label: alone, of: baseline}\n", "")
    settings = replace(three_seeds, descriptions=described(stand_in / "tables", text), seeds=(0,))
    assert modules.command.make_page("tiny", settings) == 0
    verbs = [call.split()[0] for call in calls(stand_in)]
    assert verbs == ["train-teacher", "gen-soft-labels", "distill", "evaluate"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_a_signal_reaches_the_child_and_the_next_call_goes_on(modules, three_seeds, stand_in, number, code):
    (stand_in / "slow").touch()

    def interrupt():
        while (stand_in / "slow").read_text() != "at work":
            threading.Event().wait(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    assert modules.command.make_page("tiny", three_seeds) == code
    thread.join()
    assert (stand_in / "saved").read_text() == "checkpoint"
    assert [run[-6:] for run in recorded(three_seeds)["runs"]] == ["seed=0"]
    assert "**2 of 3 runs are missing**" in page(three_seeds)
    (stand_in / "slow").unlink()
    assert modules.command.make_page("tiny", three_seeds) == 0
    assert [call.count("seed=0") for call in calls(stand_in)] == [1, 0, 0, 0]
    assert "runs are missing" not in page(three_seeds)
