"""How long an artefact took to make counts every attempt that it went on from."""

import pytest

from distill_cli.artifacts.files import read_json, write_json
from distill_cli.artifacts.store import BUILD_NOTES, Place
from distill_cli.stages import ensure as stage
from distill_cli.stages.ensure import Built, ensure


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a test says so."""
    now = [0.0]
    monkeypatch.setattr(stage.time, "monotonic", lambda: now[0])
    return now


def made(place, clock, seconds, *, saves=False, ends=True):
    def build():
        clock[0] += seconds
        if saves:
            write_json(place.work / "checkpoint.json", {})
        if not ends:
            raise KeyboardInterrupt
        return Built({"metrics": {}}, {})

    return ensure("teacher", place, {}, build, "distill run")


def test_an_interrupted_attempt_counts_if_it_saved_something(tmp_path, clock):
    place = Place(tmp_path, "teachers", "toy", {"is": 1})
    with pytest.raises(KeyboardInterrupt):
        made(place, clock, 100, ends=False)
    assert not place.work.exists()  # nothing was saved, so nothing is left
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            made(place, clock, 10, saves=True, ends=False)
    result = made(place, clock, 5)
    assert result.seconds["total"] == 5  # of this command
    assert read_json(place.directory / BUILD_NOTES)["seconds"]["total"] == 25
