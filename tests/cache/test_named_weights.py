"""Students and teachers whose weights were named for another: what came of them keeps them."""

import json

import pytest

from distill_cli.cache.garbage import look_for_garbage
from distill_cli.cache.inventory import take_stock
from distill_cli.cache.references import users_of

OLD = b"the old student"


@pytest.fixture
def old(shop):
    return shop.published(shop.place("students", "mlp-digits", seed=7, distillation=None), OLD)


def made_from(shop, place) -> list[tuple[str, str]]:
    listed = json.loads(shop.look_after("ls", "--json").stdout)["artefacts"]
    (entry,) = (one for one in listed if one["name"] == place.name)
    return [(made["role"], made["name"]) for made in entry["made_from"]]


def test_a_student_that_another_goes_on_from_is_not_removed_and_that_one_is_named(shop, old):
    grown = shop.gone_on(OLD)
    assert made_from(shop, grown) == [("init", old.name)]
    ended = shop.look_after("rm", old.name, "--yes")
    assert ended.exit_code == 4 and f"is what students/{grown.name} was made from" in ended.stderr
    assert old.directory.is_dir()
    assert shop.look_after("rm", grown.name, "--yes").exit_code == 0
    assert shop.look_after("rm", old.name, "--yes").exit_code == 0


def test_a_student_that_was_brought_in_as_a_teacher_is_not_removed(shop, old):
    teacher = shop.imported(OLD)
    assert made_from(shop, teacher) == [("checkpoint", old.name)]
    ended = shop.look_after("rm", old.name, "--yes")
    assert ended.exit_code == 4 and f"is what teachers/{teacher.name} was made from" in ended.stderr


def test_a_peer_beside_a_student_counts_like_the_student(shop):
    place = shop.place("students", "mlp-digits", seed=8, distillation=None)
    shop.published_with(place, {"model.safetensors": OLD, "peer-1.safetensors": b"its peer"})
    assert made_from(shop, shop.gone_on(b"its peer")) == [("init", place.name)]


def test_of_a_student_and_its_copy_the_student_is_what_the_next_was_made_from(shop, old):
    teacher = shop.imported(OLD)
    grown = shop.gone_on(OLD)
    assert made_from(shop, grown) == [("init", old.name)]
    assert shop.look_after("rm", old.name, "--yes", "--force").exit_code == 0
    assert made_from(shop, grown) == [("init", teacher.name)]


def test_two_teachers_that_were_brought_in_from_one_file_do_not_keep_each_other(shop):
    places = [shop.imported(b"from elsewhere", name) for name in ("mine", "yours")]
    assert not users_of(take_stock(shop.root))
    shop.age(400)
    garbage = {one.title for one in look_for_garbage(take_stock(shop.root), days=7).garbage}
    assert garbage == {f"teachers/{place.name}" for place in places}


def test_one_that_did_not_change_in_training_is_not_made_from_itself(shop):
    student = shop.gone_on(OLD, own=OLD)
    assert made_from(shop, student) == []
    assert shop.look_after("rm", student.name, "--yes").exit_code == 0


@pytest.mark.parametrize("init", [None, "text", {}, {"weights": 3}, {"weights": "0" * 64}])
def test_weights_from_elsewhere_are_nobodys_and_odd_words_are_no_error(shop, init):
    student = shop.published(shop.place("students", "mlp-digits", init=init, distillation=None))
    assert made_from(shop, student) == []
