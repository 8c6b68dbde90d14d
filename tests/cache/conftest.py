"""A small store of artefacts, made with the functions that every run uses; no torch, no training."""

import pytest
from shop import Shop

from distill_cli.artifacts.store import Place


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test works in its own empty directory, with no settings of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in ("DISTILL_ARTIFACTS", "CI", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shop(tmp_path) -> Shop:
    return Shop(tmp_path / "artifacts")


@pytest.fixture
def chain(shop) -> tuple[Place, Place, Place, Place]:
    """A teacher, its soft labels, a student of theirs and the student's report."""
    teacher = shop.teacher()
    labels = shop.labels(teacher)
    student = shop.student(labels)
    return teacher, labels, student, shop.evaluation(student, teacher)
