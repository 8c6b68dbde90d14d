"""Gates of the command line: exit codes, what is left behind, and what GitHub Actions is shown."""

import json
import logging
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from tool import QUICK, distill

from distill_cli.hydra_app.launch import run

CI = "hydra.run.dir=ci"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A directory in which `distill run` was typed once."""
    directory = tmp_path_factory.mktemp("project")
    done = distill("run", *QUICK, cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture
def here(project, tmp_path, monkeypatch):
    """A copy of it to work in, outside of any CI."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(project / "artifacts", tmp_path / "artifacts")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def typed(capsys):
    """`distill VERB …` within this process: its exit code, and the lines of stdout and stderr."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def type_(*words: str) -> tuple[int, list[str], list[str]]:
        code = run(words[0], [*words[1:], *QUICK])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    yield type_
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def summary(here, monkeypatch):
    """The file of the step's summary, under GitHub Actions."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "summary.md"))
    return here / "summary.md"


def cases(path: Path) -> dict[str, bool]:
    """The gates of a junit.xml, and whether each passed."""
    return {
        case.get("name"): case.find("failure") is None for case in ElementTree.parse(path).iter("testcase")
    }


def the_report(directory: Path) -> Path:
    (path,) = directory.glob("artifacts/evaluations/*/report.json")
    return path


def reference(directory: Path, change=lambda report: None) -> str:
    """An earlier report beside the artefacts, with something else in it."""
    report = json.loads(the_report(directory).read_text())
    change(report)
    (directory / "reference.json").write_text(json.dumps(report))
    return "gates.reference=reference.json"


def test_missed_gates_are_exit_code_3_after_everything_is_written(here, typed):
    gates = ("gates.min_top1=0.01", "gates.max_params=100", "gates.max_latency_ms=5")
    code, out, err = typed("evaluate", *gates, CI)
    unmeasured = "failed (not measured: evaluate.latency=true measures it)"
    assert code == 3 and not [line for line in out if line.startswith("::")]
    assert err[-1] == (
        f"distill: error: gates.max_params=100: failed (1,810); gates.max_latency_ms=5: {unmeasured}"
    )
    assert [line for line in err if line.startswith("gates.")][1:] == [
        "gates.max_params=100:   failed (1,810)",
        f"gates.max_latency_ms=5: {unmeasured}",
    ]
    passed = {"min_top1": True, "max_params": False, "max_latency_ms": False}
    assert cases(here / "ci/junit.xml") == passed
    result = json.loads((here / "ci/result.json").read_text())
    assert {gate["gate"]: gate["passed"] for gate in result["gates"]} == passed
    assert json.loads((here / "ci/error.json").read_text())["exit_code"] == 3


def test_gates_that_hold_are_exit_code_0_and_the_suite_names_the_student(here, typed):
    code, _, err = typed("run", "gates.min_top1=0.01", "gates.max_ece=1", "gates.min_agreement=0", CI)
    assert code == 0 and sum("passed (" in line for line in err) == 3
    (properties,) = ElementTree.parse(here / "ci/junit.xml").iter("properties")
    named = {one.get("name"): one.get("value") for one in properties}
    result = json.loads((here / "ci/result.json").read_text())
    assert named == {"student": result["stages"]["distill"]["name"], "key": result["key"]}


def test_without_gates_there_is_no_junit_and_an_earlier_one_goes(here, typed):
    (here / "ci").mkdir()
    (here / "ci/junit.xml").write_text("of an earlier run")
    assert typed("evaluate", CI)[0] == 0
    assert not (here / "ci/junit.xml").exists()


def test_a_run_that_is_refused_leaves_no_verdicts_of_an_earlier_one(here, typed):
    assert typed("evaluate", "gates.min_top1=0.01", CI)[0] == 0
    assert typed("evaluate", "gates.min_top1=91", CI)[0] == 2
    assert not (here / "ci/junit.xml").exists()


@pytest.mark.parametrize("word", ["gates.foo=1", "data=nope", "seed=[", "seed"])
def test_a_run_that_cannot_be_composed_leaves_no_results_of_an_earlier_one(here, typed, word):
    """Nor does a look at its config remove any."""
    (here / "ci").mkdir()
    for name in ("junit.xml", "result.json"):
        (here / "ci" / name).write_text("of an earlier run")
    assert typed("evaluate", "--cfg", "job", word, CI)[0] == 2
    assert len(list((here / "ci").iterdir())) == 2
    assert typed("evaluate", word, CI)[0] == 2
    assert not list((here / "ci").iterdir())


@pytest.mark.parametrize("value", ["91", "91%", '"0,91"'])
def test_an_impossible_threshold_is_exit_code_2_and_one_line(here, typed, value):
    code, _, err = typed("run", f"gates.min_top1={value}", "paths.artifacts=elsewhere")
    assert code == 2 and len(err) == 1 and err[0].endswith(": is a fraction: 0.91")
    assert not (here / "elsewhere").exists()


def test_a_gate_on_the_baseline_says_how_to_get_one(here, typed):
    (alone,) = here.glob("artifacts/students/*-alone-*")
    shutil.rmtree(alone)
    code, _, err = typed("evaluate", "gates.min_gain=-1")
    assert code == 3 and "not measured: there is no baseline; distill run trains it" in err[-1]


def test_a_student_is_no_worse_than_itself(here, typed):
    for place in ("artifacts/evaluations/" + the_report(here).parent.name, str(the_report(here))):
        assert typed("evaluate", f"gates.reference={place}")[0] == 0
    assert typed("run", reference(here))[0] == 0


def test_a_student_below_the_interval_of_the_reference_is_exit_code_3(here, typed):
    def better(report):
        report["models"]["student"].update(top1=0.99, top1_interval=[0.98, 0.995])

    code, _, err = typed("run", reference(here, better), CI)
    assert code == 3 and "below 0.9800: the reference has 0.9900" in err[-1]
    assert cases(here / "ci/junit.xml") == {"reference": False}


def other_test_pictures(report):
    for step in report["provenance"]:
        step["identity"].get("data", {})["test"] = 64 * "0"


def test_a_reference_of_other_test_pictures_under_the_same_name_is_refused(here, typed):
    """And one of other train labels is not: what was measured is the same."""

    def reported(seed: int, train_label: int = 0) -> tuple[int, list[str]]:
        images = np.random.default_rng(seed).integers(0, 256, (120, 8, 8), dtype=np.uint8)
        labels = np.arange(120) % 10
        labels[0] += train_label
        test = {"test_images": images[80:], "test_labels": labels[80:]}
        np.savez(here / "mine.npz", images=images[:80], labels=labels[:80], **test)
        words = ("data=arrays", "data.file=mine.npz", "paths.data=.")
        given = ("gates.reference=first.json",) if (here / "first.json").exists() else ()
        code, _, err = typed("run", *words, *given, "paths.artifacts=own")
        return code, err

    assert reported(seed=0)[0] == 0
    (first,) = here.glob("own/evaluations/*/report.json")
    shutil.copy(first, here / "first.json")
    code, err = reported(seed=1)
    assert code == 2 and len(err) == 1 and "measured on other test pictures of arrays; " in err[0]
    assert reported(seed=0, train_label=1)[0] in (0, 3)


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (lambda report: report.update(schema=1), 4, "gates.reference=reference.json is a report of schema 1"),
        (
            lambda report: report["settings"].update(data="mnist, 10,000 test pictures"),
            2,
            "measured on mnist",
        ),
        (other_test_pictures, 2, "measured on other test pictures of digits; accuracies of different test"),
        (lambda report: report.clear(), 4, "not a report of distill evaluate"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused_before_anything_is_made(here, typed, change, code, line):
    refused, _, err = typed("run", reference(here, change), "paths.artifacts=elsewhere")
    assert refused == code and len(err) == 1 and line in err[0]
    assert not list(here.glob("elsewhere/[!.]*"))


@pytest.mark.parametrize("verb", ["run", "evaluate"])
def test_a_reference_that_is_not_there_is_exit_code_2(here, typed, verb):
    code, _, err = typed(verb, "gates.reference=gone.json", "paths.artifacts=elsewhere")
    why = "there is no such file; reports are in artifacts/evaluations/*"
    assert (code, err) == (2, [f"distill: error: gates.reference=gone.json: {why}"])


def test_github_is_told_of_each_gate_and_shown_the_report(summary, typed):
    code, out, _ = typed("evaluate", "gates.min_top1=0.01", "gates.max_params=100")
    assert code == 3
    commands = [line.partition("::mlp_24-digits")[0] for line in out if line.startswith("::")]
    assert commands == ["::notice title=gates.min_top1", "::error title=gates.max_params"]
    lines = summary.read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("# ") and lines[3] == "## Gates"
    assert "| `gates.max_params=100` | ❌ failed | 1,810 |" in lines
    assert any(line.startswith("| test top-1 |") for line in lines)


def test_a_summary_that_cannot_be_written_is_a_line_and_no_failure(summary, typed):
    summary.mkdir()
    code, _, err = typed("evaluate", "gates.min_top1=0.01")
    assert code == 0 and any("summary.md cannot be written: Is a directory" in line for line in err)


def test_a_job_of_a_sweep_that_misses_a_gate_is_named_and_the_others_go_on(summary, here, typed):
    words = ("-m", "gates.min_top1=0.01,0.999", "temperature=2", "hydra.sweep.dir=ci")
    code, out, err = typed("run", *words)
    assert code == 3
    (named,) = [line for line in err if line.startswith("distill: error: #")]
    assert named.startswith("distill: error: #1 ") and "gates.min_top1=0.999: failed" in named
    assert cases(here / "ci/0/junit.xml") == {"min_top1": True}
    assert cases(here / "ci/1/junit.xml") == {"min_top1": False}
    first, second = summary.read_text(encoding="utf-8").splitlines()
    assert first.startswith("- ✅ `#0 temperature=2 ") and second.startswith("- ❌ `#1 temperature=2 ")
    assert "gates." not in first and "gates.min_top1=0.999: failed" in second
    assert len([line for line in out if line.startswith("::")]) == 1  # the missed one
