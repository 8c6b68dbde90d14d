"""What nobody needs goes, when told to; in doubt it stays."""

import os
import subprocess
import sys
import time

import pytest

from distill_cli.cache.garbage import look_for_garbage
from distill_cli.cache.inventory import take_stock


def garbage(shop, days=7.0):
    """Titles of what would go, with the reasons."""
    return {one.title: one.reason for one in look_for_garbage(take_stock(shop.root), days).garbage}


def kept(shop, days=7.0):
    return {one.entry.title: one.reason for one in look_for_garbage(take_stock(shop.root), days).kept}


def old(path, days=1.0):
    os.utime(path, (then := time.time() - 86400 * days, then))


def title(place):
    return f"{place.kind}/{place.name}"


def test_what_a_student_was_made_from_stays_however_old(shop, chain):
    shop.age(400)
    assert garbage(shop) == {} and kept(shop) == {}


def test_a_teacher_beside_which_a_student_was_trained_stays(shop):
    shop.student(teacher=shop.teacher())
    shop.age(400)
    assert garbage(shop) == {}


def test_a_baseline_stays_and_keeps_nothing(shop):
    teacher = shop.teacher()
    shop.student()
    shop.age(400)
    assert garbage(shop) == {title(teacher): "no student refers to it"}


def test_what_no_student_refers_to_goes_when_it_is_older_than_a_week(shop):
    teacher = shop.teacher()
    labels = shop.labels(teacher)
    shop.age(6)
    assert garbage(shop) == {}
    assert kept(shop) == {title(labels): "no student refers to it; only 6d old"}
    shop.age(8)
    assert garbage(shop).keys() == {title(teacher), title(labels)}


def test_a_teacher_whose_soft_labels_stay_stays(shop):
    teacher = shop.teacher()
    labels = shop.labels(teacher)
    shop.age(8, teacher)
    assert garbage(shop) == {}
    shop.age(8, labels)
    assert len(garbage(shop)) == 2


def test_the_number_of_days_can_be_said(shop):
    teacher = shop.teacher()
    shop.age(2)
    assert garbage(shop, days=1) == {title(teacher): "no student refers to it"}
    assert shop.look_after("gc", "--older-than", "1.5", "--yes").exit_code == 0
    assert not teacher.directory.exists()


def test_unfinished_work_goes_when_it_is_older_than_a_week(shop):
    place = shop.unfinished(shop.place("students", "mlp", seed=1))
    shop.age(6)
    assert garbage(shop) == {}
    shop.age(8)
    assert garbage(shop) == {f"students/{place.work.name}": "unfinished"}
    with place.locked():
        assert garbage(shop) == {}


def test_incomplete_soft_labels_go_when_they_are_older_than_a_week_and_no_student_has_them(shop):
    teacher = shop.teacher()
    labels = shop.labels(teacher)
    (labels.directory / "train/view-001/block-00000.json").unlink()
    shop.age(6)
    assert garbage(shop) == {}
    shop.age(8)
    assert garbage(shop)[title(labels)] == "incomplete"
    shop.student(labels)
    assert garbage(shop) == {}


def test_an_unfinished_student_may_need_any_teacher_and_any_soft_labels(shop):
    teacher = shop.teacher()
    labels = shop.labels(teacher)
    shop.age(30)
    place = shop.unfinished(shop.place("students", "mlp", seed=1))
    assert garbage(shop) == {}
    assert kept(shop)[title(labels)] == f"no student refers to it; students/{place.work.name} may need it"


def test_so_may_a_student_that_cannot_be_read(shop, chain):
    _, labels, student, _ = chain
    (student.directory / "artifact.json").write_text("{")
    shop.age(30)
    assert garbage(shop) == {}
    assert kept(shop)[title(labels)].endswith(f"{title(student)} may need it")


def test_damaged_things_are_left_to_verify(shop):
    teacher = shop.teacher()
    (teacher.directory / "artifact.json").write_text("{")
    shop.age(30)
    assert garbage(shop) == {}
    assert "see distill cache verify" in kept(shop)[title(teacher)]


def test_an_evaluation_goes_with_its_student(shop, chain):
    _, _, student, evaluation = chain
    assert shop.look_after("rm", student.name, "--yes").exit_code == 0
    assert garbage(shop) == {title(evaluation): "its student is gone"}


def test_an_evaluation_whose_baseline_is_gone_stays(shop):
    teacher = shop.teacher()
    baseline = shop.student(seed=2)
    student = shop.student(teacher=teacher)
    shop.evaluation(student, teacher, baseline)
    shop.look_after("rm", baseline.name, "--yes")
    assert garbage(shop) == {}


def test_temporary_files_go_after_an_hour_unless_somebody_works_there(shop, chain):
    _, labels, _, _ = chain
    temporary = labels.directory / "train/view-000/.block-00000.npy.abc-1-def.tmp"
    temporary.write_bytes(b"half")
    assert garbage(shop) == {}
    old(temporary)
    with labels.locked():
        assert garbage(shop) == {}
    assert garbage(shop) == {f"{title(labels)}/.*.tmp": "left behind by a killed process"}
    before = shop.contents()
    assert shop.look_after("gc", "--yes").exit_code == 0
    assert before.keys() - shop.contents().keys() == {str(temporary.relative_to(shop.root))}


def test_half_removed_directories_go_after_an_hour_unless_somebody_is_at_it(shop, chain):
    *_, evaluation = chain
    gone = evaluation.directory.with_name(f".{evaluation.name}.abcdef.removed")
    evaluation.directory.rename(gone)
    assert garbage(shop) == {}
    for path in (gone, *gone.iterdir()):
        old(path)
    with evaluation.locked():
        assert garbage(shop) == {}
    assert garbage(shop) == {f"evaluations/{gone.name}": "left behind by a killed process"}


def test_locks_and_indexes_are_left_alone(shop, chain):
    (shop.root / ".index").mkdir()
    (shop.root / ".index/x.jsonl").write_text("{}")
    (shop.root / ".index/.x.jsonl.1.tmp").write_text("{}")
    with chain[0].locked():
        pass
    locks = {path.name for path in (shop.root / ".locks").iterdir()}
    shop.age(400)
    shop.look_after("gc", "--yes")
    assert {path.name for path in (shop.root / ".locks").iterdir()} == locks
    assert len(list((shop.root / ".index").iterdir())) == 2


def test_it_only_says_what_it_would_do(shop):
    teacher = shop.teacher()
    shop.age(8)
    before = shop.contents()
    ended = shop.look_after("gc")
    assert ended.exit_code == 0
    first, last = ended.stdout.splitlines()
    assert first.startswith(f"remove  {title(teacher)}  ") and first.endswith("no student refers to it")
    assert last.startswith("1 item, ") and last.endswith("would be removed; distill cache gc --yes does it")
    assert shop.contents() == before


def test_with_yes_it_does_it_and_a_second_time_there_is_nothing_left(shop):
    shop.labels(shop.teacher())
    shop.age(8)
    assert "removed 2 items, " in shop.look_after("gc", "--yes").stdout
    assert shop.contents() == {}
    assert shop.look_after("gc", "--yes").stdout == "there is nothing to remove\n"


def test_what_somebody_has_begun_to_use_meanwhile_stays(shop, monkeypatch):
    from distill_cli.cache import chores

    teacher = shop.teacher()
    shop.age(8)

    def answers_late(question, option):
        shop.student(teacher=teacher)
        return True

    monkeypatch.setattr(chores, "_is_on_terminal", lambda: True)
    monkeypatch.setattr(chores, "_is_confirmed", answers_late)
    assert "removed 0 items" in shop.look_after("gc").stdout
    assert teacher.is_complete()


def test_what_somebody_builds_at_the_last_moment_stays(shop, monkeypatch):
    from distill_cli.cache import chores

    teacher = shop.teacher()
    shop.age(8)
    found = look_for_garbage(take_stock(shop.root), 7)
    monkeypatch.setattr(chores, "look_for_garbage", lambda inventory, days: found)
    with teacher.locked():
        ended = shop.look_after("gc", "--yes")
    assert ended.exit_code == 0
    assert f"kept: teachers/{teacher.name} is being built now" in ended.stderr
    assert teacher.is_complete()


def test_two_at_once_do_not_stumble_over_each_other(shop):
    for seed in range(40):
        shop.teacher(seed)
    shop.age(8)
    code = "from distill_cli.cli import app; app(['cache', 'gc', '--yes'])"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=shop.root.parent, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in running:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "Traceback" not in err
    assert shop.contents() == {}


@pytest.mark.parametrize("days", [-400, -1])
def test_a_clock_that_jumped_back_keeps_everything(shop, days):
    shop.labels(shop.teacher())
    shop.age(days)
    assert garbage(shop) == {}
