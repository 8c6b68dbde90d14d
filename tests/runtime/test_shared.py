"""What the jobs of a sweep share: made once, dropped where memory grows short, and never kept elsewhere."""

import pytest

from distill_cli.runtime import shared as module
from distill_cli.runtime.shared import Shared, machine_memory

GIGABYTE = 1 << 30
PLENTY = (90 * GIGABYTE, 100 * GIGABYTE)


class Machine:
    """How much memory there is, as a test wants it."""

    def __init__(self) -> None:
        self.memory = PLENTY

    def __call__(self):
        return self.memory


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def store(machine):
    """Within a job of a sweep."""
    shared = Shared(machine)
    with shared.during(job_of_sweep=True):
        yield shared


def test_a_thing_is_made_once_for_all_jobs_of_a_sweep(machine):
    shared, made = Shared(machine), []
    for _ in range(3):
        with shared.during(job_of_sweep=True):
            thing = shared.get("rows", 1, lambda: made.append(1) or object())
    assert made == [1]
    with shared.during(job_of_sweep=True):
        assert shared.get("rows", 1, object) is thing and shared.find("rows") is thing


def test_a_single_job_keeps_nothing_and_is_given_nothing(machine):
    shared = Shared(machine)
    with shared.during(job_of_sweep=True):
        kept = shared.get("rows", 1, object)
    with shared.during(job_of_sweep=False):
        assert shared.get("rows", 1, object) is not kept
        assert shared.find("rows") is None
        shared.keep("more", 1, object())
    assert shared.bytes == 1


def test_another_key_is_another_thing(store):
    assert store.get(("rows", "seal 1"), 1, object) is not store.get(("rows", "seal 2"), 1, object)


@pytest.mark.parametrize(
    ("memory", "why"),
    [
        ((29 * GIGABYTE, 100 * GIGABYTE), "less than a tenth of the machine would be left"),
        ((0, 100 * GIGABYTE), "there is not even enough for it"),
    ],
)
def test_what_is_kept_makes_way_for_what_does_not_fit_beside_it(store, machine, memory, why):
    store.get("old", GIGABYTE, object)
    machine.memory = memory
    store.get("new", 20 * GIGABYTE, object)
    assert store.find("old") is None and store.find("new") is not None, why


def test_the_longest_unused_goes_first(store):
    for name in ("first", "second"):
        store.get(name, 20 * GIGABYTE, object)
    store.find("first")
    store.get("third", 20 * GIGABYTE, object)  # more than half of the machine in all
    assert [store.find(name) is not None for name in ("first", "second", "third")] == [True, False, True]


def test_room_is_made_before_the_new_thing_is(store, machine):
    store.get("old", GIGABYTE, object)
    machine.memory = (0, 100 * GIGABYTE)
    assert store.get("new", GIGABYTE, lambda: store.find("old")) is None


def test_where_nobody_knows_how_much_memory_there_is_everything_stays(store, machine):
    machine.memory = None
    for name in ("one", "two"):
        store.get(name, 1 << 50, object)
    assert store.find("one") is not None


def test_releasing_drops_everything_and_says_whether_there_was_anything(store):
    assert store.release() is False
    store.get("rows", 1, object)
    assert store.release() is True and store.find("rows") is None and store.bytes == 0


def test_a_thing_that_cannot_be_made_is_not_kept(store):
    with pytest.raises(MemoryError):
        store.get("rows", 1, lambda: (_ for _ in ()).throw(MemoryError()))
    assert store.find("rows") is None and store.bytes == 0


def test_the_limit_of_a_container_counts_and_the_page_cache_does_not(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 900 kB\nHugePages_Total: 0\n")
    monkeypatch.setattr(module, "MEMINFO", meminfo)
    monkeypatch.setattr(module, "CONTROL", tmp_path)
    assert machine_memory() == (900 * 1024, 1000 * 1024)
    for name, content in (("memory.max", "max"), ("memory.current", "300000")):
        (tmp_path / name).write_text(f"{content}\n")
    (tmp_path / "memory.stat").write_text("anon 100000\ninactive_file 50000\n")
    assert machine_memory() == (900 * 1024, 1000 * 1024), "a container without a limit"
    (tmp_path / "memory.max").write_text("400000\n")
    assert machine_memory() == (150_000, 400_000)


def test_a_system_without_these_files_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MEMINFO", tmp_path / "none")
    assert machine_memory() is None


def test_what_is_kept_after_it_was_made_counts_as_well(store, machine):
    """A data set, whose size nobody knew beforehand: together with it the rows would take half of the machine."""
    store.get("rows", 30 * GIGABYTE, object)
    store.keep("data", 30 * GIGABYTE, object())
    assert "rows" not in store and "data" in store
