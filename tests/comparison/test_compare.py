"""`distill compare` as it is typed."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from distill_cli.cli import app

COMMAND = Path(sys.executable).parent / "distill"


def compare(*words: str):
    """Within this process: exit_code, stdout, stderr."""
    return CliRunner().invoke(app, ["compare", *map(str, words)])


def line_of(done) -> str:
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.rstrip("\n")


def test_it_shows_the_table_and_says_where_the_files_are(shelf):
    shelf.grid()
    done = compare("artifacts/students")
    assert done.exit_code == 0 and "5 settings on digits" in done.stdout
    assert done.stderr.splitlines()[-1] == "compare.html, compare.md and compare.csv are in outputs/compare"
    assert {path.name for path in Path("outputs/compare").iterdir()} == {
        f"compare.{e}" for e in ("csv", "md", "html")
    }


def test_the_same_students_give_the_same_bytes(shelf):
    shelf.grid()
    for directory in ("one", "two"):
        assert compare("artifacts", "--output", directory).exit_code == 0
    for path in Path("one").iterdir():
        assert path.read_bytes() == (Path("two") / path.name).read_bytes()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "distill compare: name what to compare"),
        (["--outptu", "x"], "no option '--outptu' here; did you mean '--output'?"),
        (["a", "--json"], "no option '--json' here; there are --output, --artifacts"),
        (["a", "--output"], "argument --output: expected one argument"),
    ],
)
def test_wrong_words_are_one_line_and_code_2(words, complaint):
    done = compare(*words)
    assert done.exit_code == 2 and complaint in line_of(done)


def test_an_output_that_can_be_no_directory_is_one_line_before_the_table(shelf):
    shelf.student((0.9, 0.9))
    Path("log").write_text("")
    for output in ("log", "log/below", "/proc/below"):
        done = compare("artifacts", "--output", output)
        assert done.exit_code == 2 and done.stdout == ""
        assert line_of(done).startswith(f"distill: error: --output {output}: ")


def test_students_of_different_data_sets_are_one_line_and_code_2(shelf, tmp_path):
    one = shelf.student((0.9, 0.9))
    other = type(shelf)(tmp_path / "other", data="mnist").student((0.9, 0.9))
    done = compare(one.directory, other.directory)
    assert done.exit_code == 2
    assert line_of(done) == (
        "distill: error: students of different data sets cannot be ranked together: "
        f"digits ({one.name}), mnist ({other.name}); "
        f"name those of one: '{one.directory.parent}/*-digits-*'"
    )


def test_what_is_no_artefact_or_damaged_is_one_line_and_code_4(shelf):
    place = shelf.student((0.9, 0.9))
    missing = compare("nowhere")
    manifest = place.directory / "artifact.json"
    manifest.write_text(manifest.read_text().replace("digits", "figits"))
    damaged = compare(place.directory)
    assert missing.exit_code == damaged.exit_code == 4
    assert "there is nothing at nowhere" in line_of(missing) and "its digest differs" in line_of(damaged)
    assert not Path("outputs").exists()


WATCHED = """
import sys
from distill_cli.cli import app
try:
    app()
finally:
    print(sorted({"torch", "hydra", "omegaconf"} & set(sys.modules)), file=sys.stderr)
"""


def test_200_students_take_seconds_and_no_torch(shelf, tmp_path):
    for student in shelf.grid(temperatures=(1, 2, 4, 8, 20), alphas=(0.1, 0.3, 0.5, 0.9), seeds=range(10)):
        shelf.evaluation(student, latency_ms_b1_p50=0.02)
    before = _seconds_of_children()
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "compare", "artifacts/students"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"
    assert "21 settings on digits" in done.stdout
    assert _seconds_of_children() - before < 10


def _seconds_of_children() -> float:
    """Of a processor: how long it takes by the clock depends on who else is at work."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """A real sweep: two temperatures, two seeds, and a baseline each."""
    directory = tmp_path_factory.mktemp("real")
    words = ["-m", "temperature=1,4", "alpha=0.5", "seed=0,1", "teacher.epochs=3", "student.epochs=5"]
    done = subprocess.run(
        [str(COMMAND), "run", *words], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return directory


def test_a_real_sweep_side_by_side(swept, monkeypatch):
    monkeypatch.chdir(swept)
    (sweep,) = Path("outputs/run").glob("sweep_*")
    done = compare(sweep)
    assert done.exit_code == 0, done.stderr
    page = Path("outputs/compare/compare.md").read_text(encoding="utf-8")
    assert page.startswith("# 2 settings on digits") and "| baseline mlp_24 |" in page
    assert "| rank | temperature | validation, % | test, % | gain, points |" in page
    assert "latency, ms" in page and "teacher cnn_digits" in page
    assert "distill run temperature=4 alpha=0.5 seed=1" in Path("outputs/compare/compare.csv").read_text()
