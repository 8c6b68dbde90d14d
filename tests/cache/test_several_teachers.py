"""What students of several teachers, and of other students, keep: nothing that was needed goes."""

import json

import pytest

from distill_cli.cache.garbage import look_for_garbage
from distill_cli.cache.inventory import take_stock


def garbage(shop) -> set[str]:
    return {one.title for one in look_for_garbage(take_stock(shop.root), days=7).garbage}


def title(place) -> str:
    return f"{place.kind}/{place.name}"


@pytest.fixture
def ensemble(shop):
    """Two teachers, their soft labels, and a student of both; and a teacher that nobody needs."""
    teachers = [shop.teacher(seed) for seed in (0, 1)]
    labels = [shop.labels(teacher) for teacher in teachers]
    return teachers, labels, shop.student(labels), shop.teacher(2)


def test_every_teacher_of_a_student_stays_and_others_go(shop, ensemble):
    *_, other = ensemble
    shop.age(400)
    assert garbage(shop) == {title(other)}


def test_teachers_beside_which_a_student_was_trained_stay(shop):
    shop.student(teacher=[shop.teacher(0), shop.teacher(1)])
    shop.age(400)
    assert garbage(shop) == set()


def test_what_a_student_learned_from_is_not_removed_and_it_is_named(shop, ensemble):
    _, labels, student, _ = ensemble
    for one in labels:
        ended = shop.look_after("rm", one.name, "--yes")
        assert ended.exit_code == 4 and student.name in ended.stderr
        assert one.directory.is_dir()


def test_the_list_names_each_that_it_was_made_from(shop, ensemble):
    _, labels, student, _ = ensemble
    (entry,) = (
        one
        for one in json.loads(shop.look_after("ls", "--json").stdout)["artefacts"]
        if one["name"] == student.name
    )
    assert [(made["role"], made["name"]) for made in entry["made_from"]] == [
        ("soft_labels", one.name) for one in labels
    ]
    shown = shop.look_after("ls").stdout
    assert all(shown.count(one.key[:12]) >= 2 for one in labels)


def test_one_that_is_gone_is_said_to_be(shop, ensemble):
    _, labels, _, _ = ensemble
    assert shop.look_after("rm", labels[0].name, "--yes", "--force").exit_code == 0
    assert shop.look_after("ls").stdout.count("(gone)") == 1


@pytest.fixture
def handed_on(shop):
    """A teacher, an assistant, and a student of the assistant."""
    teacher = shop.teacher()
    assistant = shop.student(shop.labels(teacher))
    return teacher, assistant, shop.student(shop.labels(assistant), seed=1)


def test_a_student_that_taught_another_is_what_its_soft_labels_were_made_from(shop, handed_on):
    _, assistant, _ = handed_on
    listed = json.loads(shop.look_after("ls", "--json").stdout)["artefacts"]
    made_from = [made for one in listed if one["kind"] == "soft_labels" for made in one["made_from"]]
    assert {"role": "teacher", "kind": "students", "key": assistant.key, "name": assistant.name} in made_from
    assert "(gone)" not in shop.look_after("ls").stdout


def test_a_student_that_taught_another_is_not_removed_without_force(shop, handed_on):
    _, assistant, _ = handed_on
    ended = shop.look_after("rm", assistant.name, "--yes")
    assert ended.exit_code == 4 and "soft_labels/" in ended.stderr and assistant.directory.is_dir()


def test_all_of_a_chain_stays_however_old_and_is_verified(shop, handed_on):
    shop.age(400)
    assert garbage(shop) == set()
    assert shop.look_after("verify").exit_code == 0
