"""A tiny project on a disk: its steps, the trees they start from and end with, and looks at what is there."""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from operations import Fault
from orders import Ended, Nursery, Order
from tool import contents

SETTINGS = (
    "~experiment",
    "data=arrays",
    "teacher=mlp_24",
    "student=mlp_24",
    "teacher.epochs=1",
    "student.epochs=1",
    "teacher.batch_size=32",
    "student.batch_size=32",
    "views=shift",
    "views.count=2",
    "soft_labels.block=32",
    "trainer.checkpoint_every=0",  # after each step
    "evaluate.latency=false",
    "paths.artifacts=artifacts",
)
STEPS = {
    "train-teacher": ("train-teacher",),
    "gen-soft-labels": ("gen-soft-labels",),
    "distill": ("distill",),
    "baseline": ("distill", "alpha=0"),
    "evaluate": ("evaluate",),
}
RUN = {"run": ("run",)}
KINDS = ("teachers", "soft_labels", "students", "evaluations")
NOTES = "build.json"  # the one file without a promise
OPEN_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{6}-\d+-[0-9a-f]{6}\.tmp")


@dataclass
class Scene:
    """`root` holds the data, and for each step the tree before it; each trial gets a copy."""

    root: Path
    nursery: Nursery
    after: dict[str, dict[str, bytes]] = field(default_factory=dict)  # a step's artefacts, undisturbed
    logs: dict[str, Ended] = field(default_factory=dict)
    trials: int = 0

    @classmethod
    def build(cls, root: Path, nursery: Nursery) -> "Scene":
        scene = cls(root, nursery)
        write_pictures(root / "toy.npz")
        place = root / "undisturbed"
        place.mkdir()
        for step in STEPS:
            shutil.copytree(place, root / f"before {step}")
            scene.logs[step] = ended = nursery.run(scene.order(place, step))
            assert ended.code == 0, ended.stderr
            scene.after[step] = artefacts(place)
            clear_reports(place)
        return scene

    @property
    def finished(self) -> Path:
        """A tree with all artefacts."""
        return self.root / "undisturbed"

    @property
    def settings(self) -> tuple[str, ...]:
        return (*SETTINGS, f"data.file={self.root / 'toy.npz'}")

    def order(self, directory: Path, step: str, *words: str, fault: Fault | None = None, **more) -> Order:
        verb, *own = {**STEPS, **RUN}[step]
        below = "." if step == "train-teacher" else "artifacts"  # one output directory is as another
        return Order(directory, verb, (*self.settings, *own, *words), fault, below=below, **more)

    def stage(self, step: str) -> Path:
        """A directory as it is before a step."""
        return self._copy(self.root / f"before {step}")

    def copy(self) -> Path:
        """A directory with all artefacts."""
        return self._copy(self.finished)

    def _copy(self, source: Path) -> Path:
        self.trials += 1
        return shutil.copytree(source, self.root / f"trial {self.trials}")

    def remove_trials(self) -> None:
        for directory in self.root.glob("trial *"):
            shutil.rmtree(directory)

    def operations(self, step: str) -> int:
        return len(self.logs[step].log)

    def faults(
        self, step: str, kind: str, stride: int = 1, for_ever: bool = False, first: int = 1
    ) -> list[Fault]:
        """One at every `stride`-th operation."""
        return [Fault(kind, at, for_ever) for at in range(first, self.operations(step) + 1, stride)]


def write_pictures(path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(80) % 3
    noise = generator.integers(0, 128, (80, 6, 6))
    images = (noise + 40 * labels[:, None, None]).astype(np.uint8)
    parts = {"": slice(0, 56), "val_": slice(56, 68), "test_": slice(68, 80)}
    arrays = {f"{name}images": images[part] for name, part in parts.items()}
    np.savez(path, **arrays, **{f"{name}labels": labels[part] for name, part in parts.items()})


def artefacts(directory: Path) -> dict[str, bytes]:
    """All files below artifacts/, temporary and unfinished ones too; not locks, and not build notes."""
    found = contents(directory / "artifacts")
    return {name: content for name, content in found.items() if not name.startswith(".locks")}


def visible(files: dict[str, bytes]) -> dict[str, bytes]:
    """Those under a final name."""
    return {name: content for name, content in files.items() if not re.search(r"(^|/)\.", name)}


def temporary(directory: Path) -> list[Path]:
    return [path for path in directory.rglob(".*.tmp") if OPEN_TEMPORARY.fullmatch(path.name)]


def final_path(path: str) -> Path:
    """The name under which a temporary file would have become visible."""
    found = OPEN_TEMPORARY.fullmatch(Path(path).name)
    return Path(path).with_name(found["name"]) if found else Path(path)


def clear_reports(directory: Path) -> None:
    for path in directory.iterdir():
        if path.name != "artifacts":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def assert_one_line(ended: Ended) -> str:
    """The complaint of a command that failed as it should."""
    assert ended.code in (4, 5, 6), (ended.code, ended.stderr)
    assert "Traceback" not in ended.stderr and len(ended.complaints) == 1, ended.stderr
    return ended.complaints[0]
