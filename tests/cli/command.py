"""The command line under test: as the installed command, and within the test's process."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from distill_cli.hydra_app.launch import run

COMMAND = Path(sys.executable).parent / "distill"

FAKE_STAGE = """
import sys, types
module = types.ModuleType("distill_cli.stages.distill")
exec({source!r}, module.__dict__)
sys.modules["distill_cli.stages.distill"] = module
"""


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on stderr."""
        assert self.err.count("\n") == 1, self.err
        return self.err.rstrip("\n")


def installed(*words: str, cwd: Path, **environment: str) -> Ended:
    """The installed command in a process of its own."""
    done = subprocess.run(
        [str(COMMAND), *words],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def within(capsys, *words: str, verb: str = "distill") -> Ended:
    """The same without a new process."""
    code = run(verb, words)
    captured = capsys.readouterr()
    return Ended(code, captured.out, captured.err)


def fake_distill_stage(directory: Path, source: str) -> dict[str, str]:
    """An environment in which every Python process has `source` in place of the stage of `distill distill`."""
    (directory / "sitecustomize.py").write_text(FAKE_STAGE.format(source=source))
    return {"PYTHONPATH": str(directory)}
