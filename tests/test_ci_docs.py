"""The examples of docs/ci.md: written into an empty directory, and run as they stand, without their services."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from distill_cli.evaluation.github import LIMIT

PAGE = (Path(__file__).parents[1] / "docs/ci.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = {name: text for _, name, text in FENCE.findall(PAGE) if name}
COMMANDS = [text for language, _, text in FENCE.findall(PAGE) if language == "sh"]
PUBLISHED = re.findall(r"^\| `(ci/\S+)` \|", PAGE, re.MULTILINE)
WORKFLOW, GITLAB, DVC = ".github/workflows/student.yml", ".gitlab-ci.yml", "dvc.yaml"
GATES = yaml.safe_load(FILES["conf/experiment/student.yaml"])["gates"].keys()
OF_GITHUB = {
    "actions/checkout@v4",
    "actions/setup-python@v5",
    "actions/cache/restore@v4",
    "actions/cache/save@v4",
    "actions/upload-artifact@v4",
}

OF_OUR_OWN = ("GITHUB_", "DISTILL_", "MAKE", "MFLAGS")  # settings of this run, maybe of a `make test`


@dataclass
class Project:
    """A directory with the files that the page shows, as a checkout in CI has them."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    said: str = ""  # both streams of all steps so far

    def __post_init__(self) -> None:
        for name, text in FILES.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text, encoding="utf-8")

    def step(self, script: str) -> int:
        """The exit code of a step, run as GitHub and GitLab run it. Nothing is installed: it is."""
        if script.startswith("pip install "):
            return 0
        ours = {key: value for key, value in os.environ.items() if not key.startswith(OF_OUR_OWN)}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.root,
            env={**ours, "PATH": path, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        self.said += done.stdout
        return done.returncode

    def edit(self, old: str, new: str) -> None:
        recipe = self.root / "conf/experiment/student.yaml"
        assert old in recipe.read_text()
        recipe.write_text(recipe.read_text().replace(old, new))

    def workflow(self) -> int:
        """All steps of GitHub's job; after one that fails those that run always. The exit code of that one."""
        failed = 0
        for step in yaml.safe_load(FILES[WORKFLOW])["jobs"]["student"]["steps"]:
            assert ("uses" in step) != ("run" in step), step
            if "run" in step and self.holds(step.get("if", "success()"), failed):
                failed = self.step(step["run"]) or failed
        return failed

    def holds(self, condition: str, failed: int) -> bool:
        """A condition of a step as GitHub judges it, where no cache was found."""
        return all(self._term(term, failed) for term in condition.split(" && "))

    def _term(self, term: str, failed: int) -> bool:
        if file := re.fullmatch(r"hashFiles\('(.*)'\) != ''", term):
            return (self.root / file[1]).exists()
        known = {"always()": True, "success()": not failed, "steps.cache.outputs.cache-hit != 'true'": True}
        return known[term]

    def result(self) -> dict:
        return json.loads((self.root / "ci/result.json").read_text())

    def missing(self, names: list[str]) -> list[str]:
        return [name for name in names if not (self.root / name).exists()]


def on_github(root: Path) -> Project:
    summary = root / "step_summary.md"
    return Project(root, {"GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_STEP_SUMMARY": str(summary)})


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Project:
    """After the workflow's first job ever."""
    project = on_github(tmp_path_factory.mktemp("built"))
    assert project.workflow() == 0, project.said
    return project


@pytest.fixture
def restored(built, tmp_path):
    """A fresh checkout with the artefacts of an earlier job, as a cache restores them."""

    def make(kind=Project) -> Project:
        shutil.copytree(built.root / "artifacts", tmp_path / "artifacts")
        return kind(tmp_path)

    return make


def test_the_workflow_publishes_all_that_the_page_promises(built):
    assert len(PUBLISHED) == 5 and built.missing([*PUBLISHED, "ci/report/report.md"]) == []
    assert built.result()["status"] == "built"
    steps = yaml.safe_load(FILES[WORKFLOW])["jobs"]["student"]["steps"]
    (upload,) = [step for step in steps if step.get("uses", "").startswith("actions/upload-artifact")]
    assert built.missing([upload["with"]["path"]]) == []


def test_the_workflow_caches_artefacts_under_a_key_of_the_recipe(built):
    steps = yaml.safe_load(FILES[WORKFLOW])["jobs"]["student"]["steps"]
    used = {step["uses"]: step for step in steps if "uses" in step}
    assert used.keys() == OF_GITHUB
    restore, save = used["actions/cache/restore@v4"], used["actions/cache/save@v4"]
    assert built.missing([restore["with"]["path"]]) == [] and restore["with"]["path"] == save["with"]["path"]
    pattern = re.search(r"hashFiles\('(.*?)'\)", restore["with"]["key"])[1]
    assert [path.name for path in built.root.glob(f"{pattern}/*.yaml")] == ["student.yaml"]
    assert f"steps.{restore['id']}.outputs.cache-primary-key" in save["with"]["key"]


def test_a_cache_is_saved_by_a_run_that_got_to_its_end_and_by_no_other(restored):
    """GitHub never writes over a key: one that an unfinished run saved would stay unfinished."""
    steps = yaml.safe_load(FILES[WORKFLOW])["jobs"]["student"]["steps"]
    (condition,) = [step["if"] for step in steps if step.get("uses", "").startswith("actions/cache/save")]
    assert "cache-hit != 'true'" in condition
    project = restored(on_github)
    project.edit("max_params: 2000", "max_params: 2")
    assert project.workflow() == 3 and project.holds(condition, failed=3)
    project.edit("max_params: 2", "max_params: 2.5")
    assert project.workflow() == 2 and not project.holds(condition, failed=2)


def test_a_run_that_fails_early_publishes_nothing_and_says_so_in_a_line(restored):
    project = restored()
    project.edit("max_params: 2000", "max_params: 2.5")
    job = yaml.safe_load(FILES[GITLAB])["student"]
    assert [project.step("\n".join(job[part])) for part in ("script", "after_script")] == [2, 0]
    said = project.said.splitlines()
    assert len(said) == 2 and said[-1] == "nothing to publish: the run did not get as far as ci/result.json"
    assert project.step("make") == 2 and "Error 2" in project.said
    assert sorted(path.name for path in project.root.glob("ci/*.json")) == ["error.json"]


def test_github_shows_each_gate_and_the_report(built):
    noted = set(re.findall(r"^::notice title=gates\.(\w+)::", built.said, re.MULTILINE))
    assert noted == GATES and "::error" not in built.said
    summary = Path(built.environment["GITHUB_STEP_SUMMARY"])
    text = summary.read_text(encoding="utf-8")
    assert text.count("✅ passed") == len(GATES) and "| test top-1 |" in text
    assert summary.stat().st_size < LIMIT


def test_a_missed_gate_fails_the_workflow_and_everything_is_published_all_the_same(restored):
    project = restored(on_github)
    project.edit("min_top1: 0.95", "min_top1: 1.0")
    assert project.workflow() == 3
    assert project.missing(PUBLISHED) == []
    assert re.search(r"^::error title=gates\.min_top1::", project.said, re.MULTILINE)
    assert "❌ failed" in Path(project.environment["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
    cases = ElementTree.parse(project.root / "ci/junit.xml").iter("testcase")
    assert [case.get("name") for case in cases if case.find("failure") is not None] == ["min_top1"]


def test_a_changed_student_finds_its_teacher_and_soft_labels_in_an_old_cache(restored):
    project = restored()
    project.edit("epochs: 100", "epochs: 2")
    assert project.step("distill run --config-dir conf experiment=student hydra.run.dir=ci") in (0, 3)
    statuses = {stage: result["status"] for stage, result in project.result()["stages"].items()}
    assert statuses == {
        "train-teacher": "up-to-date",
        "gen-soft-labels": "up-to-date",
        "distill": "built",
        "baseline": "built",
        "evaluate": "built",
    }


def test_the_job_of_gitlab_runs_and_leaves_what_it_names(restored):
    job = yaml.safe_load(FILES[GITLAB])["student"]
    project = restored()
    for part in ("before_script", "script", "after_script"):  # each in a shell of its own
        assert project.step("\n".join(job[part])) == 0, project.said
    assert project.result()["status"] == "up-to-date"
    junit = job["artifacts"]["reports"]["junit"]
    assert project.missing([*PUBLISHED, *job["artifacts"]["paths"], *job["cache"]["paths"], junit]) == []
    cases = ElementTree.parse(project.root / junit).iter("testcase")
    assert {case.get("name") for case in cases} == GATES


def test_make_runs_once_and_then_has_nothing_to_do_until_the_recipe_changes(restored):
    project = restored()
    assert project.step("make") == 0, project.said
    assert project.missing(PUBLISHED) == []
    project.said = ""
    assert project.step("make") == 0 and project.said == "make: Nothing to be done for 'student'.\n"
    project.edit("epochs: 100", "epochs: 2")
    os.utime(project.root / "conf/experiment/student.yaml", (2**31, 2**31))  # later than any clock's second
    assert project.step("make") == 2 and "Error 3" in project.said
    assert is_of_one_run(project)


def is_of_one_run(project: Project) -> bool:
    """Whether what was published is what result.json tells of."""
    published = json.loads((project.root / "ci/student/artifact.json").read_text())
    return published["key"] == project.result()["stages"]["distill"]["key"]


def test_the_stage_of_dvc_runs_and_makes_its_outputs(restored):
    document = yaml.safe_load(FILES[DVC])
    stage, project = document["stages"]["student"], restored()
    without_dvc = f"sh -c {shlex.quote(stage['cmd'])}"
    assert project.missing(stage["deps"]) == []
    if shutil.which("dvc"):
        assert project.step("git init -q; dvc init -q; dvc repro") == 0, project.said
    else:
        assert project.step(without_dvc) == 0, project.said
    assert project.missing([*stage["outs"], *(next(iter(one)) for one in stage["metrics"])]) == []
    figures = json.loads((project.root / "ci/metrics.json").read_text())
    assert {"top1", "validation_top1", "parameters", "gain"} <= figures.keys()
    for plot in document["plots"]:
        ((path, axes),) = plot.items()
        rows = json.loads((project.root / path).read_text())
        assert len(rows) == 100 and all(axes["x"] in row and axes["y"] in row for row in rows)
    project.edit("epochs: 100", "epochs: 2")
    assert project.step(without_dvc) == 3 and is_of_one_run(project)


def test_the_commands_shown_run_one_after_the_other(restored):
    project = restored()
    for commands in COMMANDS:
        assert project.step(commands) == 0, f"{commands}\n{project.said}"
        if (project.root / "ci/result.json").exists():
            assert project.step("python publish.py") == 0
    assert "gates.reference=reference.json: passed" in project.said
    assert sorted(path.parent.name for path in project.root.glob("ci/*/junit.xml")) == ["0", "1"]
    project.edit("epochs: 100", "epochs: 99")
    assert project.step(COMMANDS[-1].splitlines()[-1]) == 4
    assert "student.epochs is 99, locked 100" in project.said


def test_the_page_names_every_gate_of_the_config():
    from distill_cli.config.schema import Gates

    assert set(re.findall(r"^\| `gates\.(\w+)=", PAGE, re.MULTILINE)) == set(Gates.__dataclass_fields__)
