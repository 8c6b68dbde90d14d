"""`distill export`, on a student that was really distilled: all formats, and everything that is refused."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tool import QUICK, contents, distill, new_session

import distill_cli
from distill_cli.artifacts.files import read_json
from distill_cli.config.overrides import as_hydra
from distill_cli.errors import ArtifactError, ConfigError, DistillError
from distill_cli.models.artifact import WEIGHTS
from distill_cli.stages import distill as distill_stage
from distill_cli.stages import evaluate, export, gen_soft_labels, train_teacher
from distill_cli.stages.session import Session

PAGE = Path(__file__).parents[2] / "docs/export.md"
FORMATS = ("onnx", "torch_export", "hub")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A directory in which everything has been made."""
    directory = tmp_path_factory.mktemp("project")
    session = new_session(directory, *QUICK)
    for stage in (train_teacher, gen_soft_labels, distill_stage):
        stage.run(session)
    distill_stage.run_baseline(session)
    evaluate.run(session)
    return directory


@pytest.fixture
def session(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *overrides: new_session(project, *QUICK, *(f"export.{word}" for word in overrides))


def logits_of(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Of an artefact, with the figures in it."""
    data = read_json(path / "artifact.json")["data"]
    mean, std = (torch.tensor(data[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        return distill_cli.load_model(path)((torch.from_numpy(pixels) / 255 - mean) / std).numpy()


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_lies_where_it_is_looked_for_and_says_how_near_it_is(form, session, tmp_path, capsys):
    made = session(f"format={form}")
    result = export.run(made)
    directory = tmp_path / "exports" / made.plan.student.name / form
    notes = read_json(directory / "export.json")
    assert set(notes["files"]) == {path.name for path in directory.iterdir()} - {"export.json"}
    document = result.document()
    assert (document["stage"], document["status"]) == ("export", "built")
    assert (document["artifact"], document["key"]) == (str(directory), made.plan.student.key)
    metrics = document["metrics"]
    assert metrics["max_error"] < 1e-5 and metrics["samples"] == 64 and metrics["agreement"] == 1
    assert metrics["bytes"] == sum(path.stat().st_size for path in directory.iterdir())
    said = capsys.readouterr().err
    assert f"largest difference of a logit {metrics['max_error']:.2g} over 64 test samples" in said
    assert f"export: {form}, " in said and "Traceback" not in said


def test_the_command_writes_the_same_bytes_and_two_lines(session, project, tmp_path):
    export.run(session("format=onnx", "output=out"))
    before = contents(tmp_path / "out", but=())
    words = (*QUICK, f"paths.artifacts={project / 'artifacts'}", "format=onnx", "export.output=out")
    done = distill("export", *words, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "", done.stderr
    difference, export_line = done.stderr.splitlines()
    assert difference.startswith("largest difference") and export_line.startswith("export: onnx")
    assert contents(tmp_path / "out", but=()) == before
    (result,) = tmp_path.glob("outputs/export/*/result.json")
    document = json.loads(result.read_text())
    assert document["artifact"] == str(tmp_path / "out") and "format=onnx" in document["command"]


def test_with_alpha_0_the_baseline_is_exported(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = new_session(project, *QUICK, "alpha=0", "export.format=hub", "export.output=out")
    result = export.run(made)
    assert "alone" in result.place.name and result.place.key == made.plan.baseline.key
    pixels = made.plan.data.test.images[:5]
    np.testing.assert_array_equal(
        logits_of(Path("out"), pixels), logits_of(made.plan.baseline.directory, pixels)
    )
    assert "without a teacher" in Path("out/README.md").read_text()


def test_beyond_the_tolerance_nothing_is_exported(session, tmp_path):
    with pytest.raises(DistillError, match="nothing is exported: largest difference") as raised:
        export.run(session("format=torch_export", "tolerance=1e-12", "output=here/out"))
    assert raised.value.exit_code == 1
    assert list((tmp_path / "here").iterdir()) == []


def test_a_student_that_is_not_there_is_named_with_what_makes_it(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (*QUICK, "temperature=3", "export.format=hub")
    typed = (*QUICK, "temperature=3", "format=hub", "export.output=out")
    missing = Session(new_session(project, *words).plan, typed)
    with pytest.raises(
        ArtifactError, match=r"t3-.* is not there; make it with: distill distill .*temperature=3"
    ) as e:
        export.run(missing)
    assert "format=" not in str(e.value) and "export.output" not in str(e.value)
    assert e.value.exit_code == 4 and list(tmp_path.iterdir()) == []


def test_a_card_without_a_report_says_which_command_makes_one(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = (*QUICK, "evaluate.ece_bins=7")
    other = Session(new_session(project, *words, "export.format=hub").plan, (*words, "format=hub"))
    export.run(other)
    assert f"make it with: distill run {' '.join(words)}\n" in capsys.readouterr().err


def test_damaged_weights_are_not_exported(session, tmp_path):
    made = session("format=hub", "output=here/out")
    weights = made.plan.student.directory / WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with pytest.raises(ArtifactError, match="is corrupt"):
            export.run(made)
    finally:
        weights.write_bytes(whole)
    assert list((tmp_path / "here").iterdir()) == []


def test_a_directory_of_somebody_elses_is_left_alone(session, tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(ConfigError, match="is not empty"):
        export.run(session("format=hub", f"output={tmp_path}"))


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("format=onxx", "export.format=onxx: did you mean onnx"),
        ("format=zip", "must be one of onnx, torch_export, hub"),
        ("samples=0", "export.samples=0"),
        ("tolerance=0", "export.tolerance=0"),
        ("tolerance=-1", "export.tolerance=-1"),
        ("tolerance=nan", "export.tolerance=nan"),
        ("tolerance=inf", "export.tolerance=inf"),
        ("output=", "export.output="),
    ],
)
def test_an_impossible_value_is_one_line(word, complaint, session):
    with pytest.raises(ConfigError, match=complaint):
        session(word)


def blocks(text: str, language: str) -> list[str]:
    """Blocks of code that are no files."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def beside_a_picture(project, tmp_path, monkeypatch):
    """Where the docs' snippets run: `pictures.py` as it is shown there, and a test picture. Gives its class."""
    (code,) = re.findall(r"^```python pictures\.py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "pictures.py").write_text(code)
    plan = new_session(project, *QUICK).plan
    pixels = plan.data.test.images[3:4]
    Image.fromarray(pixels[0, 0]).save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield plan.data.classes[logits_of(plan.student.directory, pixels)[0].argmax()]
    sys.modules.pop("pictures", None)


@pytest.mark.parametrize("form", FORMATS)
def test_the_snippet_shown_runs_what_the_command_shown_writes(form, project, beside_a_picture, capsys):
    section = PAGE.read_text().partition(f"\n## {form}\n")[2].partition("\n## ")[0]
    (command,), (code,) = blocks(section, "sh"), blocks(section, "python")
    words = [as_hydra(word) for word in shlex.split(command)[2:]]
    export.run(new_session(project, *QUICK, *words))
    capsys.readouterr()
    exec(compile(code, "docs/export.md", "exec"), {})
    assert capsys.readouterr().out == f"{beside_a_picture}\n"


def test_the_model_card_loads_the_folder_it_lies_in(session, tmp_path, monkeypatch, capsys):
    made = session("format=hub", "output=out")
    export.run(made)
    monkeypatch.chdir("out")
    text = Path("README.md").read_text()
    (code,) = blocks(text, "python")
    capsys.readouterr()
    exec(compile(code, "README.md", "exec"), {})
    assert re.fullmatch(r"\['\d'\]\n", capsys.readouterr().out)
    assert "| | student | baseline | teacher |" in text
    pixels = made.plan.data.test.images[:9]
    np.testing.assert_array_equal(logits_of(Path(), pixels), logits_of(made.plan.student.directory, pixels))


def test_the_folder_for_the_hub_describes_its_model(session):
    made = session("format=hub", "output=out")
    export.run(made)
    config = read_json(Path("out/config.json"))
    assert config["architecture"] == "distill_cli.models.mlp.Mlp" and config["arguments"]["width"] == 24
    assert config["num_classes"] == 10 and config["image_size"] == [8, 8] and config["num_channels"] == 1
    assert [config["id2label"][str(number)] for number in range(10)] == list(made.plan.data.classes)
    assert {number: name for name, number in config["label2id"].items()} == dict(
        enumerate(made.plan.data.classes)
    )


WITHOUT_AN_EXTRA = """
import sys
sys.modules["onnxscript"] = None
from distill_cli.hydra_app.launch import run
code = run("export", sys.argv[1:])
assert "torch" not in sys.modules
sys.exit(code)
"""


def test_without_its_extra_onnx_is_refused_before_torch_is_imported(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_AN_EXTRA, "format=onnx"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == ("distill: error: format=onnx needs the extra: pip install 'distill-cli[onnx]'\n")
