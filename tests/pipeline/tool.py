"""Running the tool: as the installed command, and stage by stage within the test's process."""

import subprocess
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from distill_cli.config.overrides import as_hydra
from distill_cli.hydra_app.combinations import combined
from distill_cli.hydra_app.composition import VERSION_BASE, config_dir, user_config
from distill_cli.stages.session import Session

COMMAND = Path(sys.executable).parent / "distill"
QUICK = ("teacher.epochs=3", "student.epochs=5", "evaluate.latency=false")  # seconds, not minutes


def distill(*words: str, cwd: Path, **options) -> subprocess.CompletedProcess[str]:
    """The installed command, to its end."""
    return subprocess.run(
        [str(COMMAND), *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=300, **options
    )


def new_session(directory: Path, *overrides: str) -> Session:
    """What a command line means, without starting it. Artefacts go below `directory`."""
    HydraConfig.instance().cfg = None  # what a test of the command line may have left
    words = [*overrides, f"paths.artifacts={directory / 'artifacts'}"]
    with (
        user_config(str(Path(__file__).parent / "conf")),
        initialize_config_dir(str(config_dir()), version_base=VERSION_BASE),
    ):
        config = compose("config", overrides=[as_hydra(combined(word)) for word in words])
    return Session.of(config)


def contents(directory: Path, *, but: tuple[str, ...] = ("build.json",)) -> dict[str, bytes]:
    """Every file below a directory, by its relative path; not the one file that says when it was built."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file() and path.name not in but)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}
