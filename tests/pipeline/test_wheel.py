"""The wheel works outside the checkout, in an environment of its own."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest
from tool import QUICK

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_wheel_in_an_empty_environment_runs_the_pipeline(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    install = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet", "--python"]
    subprocess.run([*install, str(tmp_path / "venv/bin/python"), str(wheel)], check=True, capture_output=True)
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [str(tmp_path / "venv/bin/distill"), "run", *QUICK],
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "report: built" in done.stderr and "test top-1" in done.stdout
