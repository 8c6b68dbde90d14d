"""One nursery and one undisturbed project for all tests of a worker, in memory where there is a tmpfs."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "pipeline"))  # for `tool`
pytest.register_assert_rewrite("scene", "readers")

from orders import Nursery  # noqa: E402
from scene import Scene  # noqa: E402

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def disk(tmp_path_factory) -> Iterator[Path]:
    """A directory whose fsync costs nothing, where the machine has one."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("faults")
        return
    with tempfile.TemporaryDirectory(prefix="distill faults ", dir=MEMORY) as directory:
        Path(directory).chmod(0o755)  # for tests that are another user
        yield Path(directory)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def undisturbed(disk, nursery) -> Scene:
    return Scene.build(disk, nursery)


@pytest.fixture
def scene(undisturbed) -> Iterator[Scene]:
    """The trees of trials that went well are removed."""
    yield undisturbed
    undisturbed.remove_trials()
