"""What a key depends on, and what it does not. Nothing is trained here."""

import pytest

from distill_cli.errors import ConfigError


@pytest.fixture
def keys(session):
    def of(*overrides):
        plan = session(*overrides).plan
        return {
            "teacher": plan.teacher.key,
            "labels": plan.labels.place.key,
            "student": plan.student.key,
            "baseline": plan.baseline.key,
        }

    return of


def changed(before: dict, after: dict) -> set[str]:
    return {stage for stage in before if before[stage] != after[stage]}


EVERYTHING = {"teacher", "labels", "student", "baseline"}


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("temperature=3", {"student"}),
        ("alpha=0.5", {"student"}),
        ("loss=logit_mse", {"student"}),
        ("temperature_schedule=linear", {"student"}),
        ("alpha_schedule=cosine", {"student"}),
        ("seed=1", {"student", "baseline"}),
        ("student=mlp", {"student", "baseline"}),
        ("student.epochs=7", {"student", "baseline"}),
        ("student.optimizer.lr=0.1", {"student", "baseline"}),
        ("student.optimizer=adamw", {"student", "baseline"}),
        ("student.ema=0.99", {"student", "baseline"}),
        ("views.count=3", {"student", "baseline"}),
        ("views=shift", {"labels", "student", "baseline"}),
        ("views.seed=1", {"labels", "student", "baseline"}),
        ("views.mixing=cutmix", {"labels", "student", "baseline"}),
        ("soft_labels=float32", {"labels", "student"}),
        ("soft_labels.block=512", {"labels", "student"}),
        ("teacher=mlp", {"teacher", "labels", "student"}),
        ("teacher.seed=1", {"teacher", "labels", "student"}),
        ("teacher.epochs=7", {"teacher", "labels", "student"}),
        ("teacher.views=none", {"teacher", "labels", "student"}),
        ("teacher_source=online", {"student"}),
        ("precision=fp32", EVERYTHING),
        ("data.validation=0.2", EVERYTHING),
        ("data.labeled_fraction=0.5", EVERYTHING),
        ("data.mean=[0.5]", EVERYTHING),
        ("paths.outputs=elsewhere", set()),
        ("device=cpu", set()),
        ("trainer.workers=0", set()),
        ("trainer.checkpoint_every=1", set()),
        ("compile=false", set()),
        ("gates.min_top1=0.5", set()),
        ("evaluate.ece_bins=5", set()),
    ],
)
def test_an_override_changes_the_keys_of_what_depends_on_it_and_no_other(keys, override, stages):
    assert changed(keys(), keys(override)) == stages


@pytest.mark.parametrize(
    ("override", "changes"),
    [
        ("evaluate.ece_bins=5", True),
        ("evaluate.batch_size=64", True),
        ("evaluate.latency=false", True),
        ("evaluate.pictures=0", True),
        ("evaluate.diagnosis=0", True),
        ("evaluate.bias=fit", True),
        ("evaluate.bias={3: 3.5}", True),
        ("evaluate.bias=null", False),
        ("evaluate.bias={}", False),
        ("temperature=3", True),
        ("data.validation=0.2", True),
        ("precision=fp32", True),
        ("gates.min_top1=0.5", False),
        ("device=cpu", False),
        ("paths.outputs=elsewhere", False),
    ],
)
def test_a_report_is_another_one_where_anything_in_it_is(session, override, changes):
    plain, other = session().plan.evaluation(), session(override).plan.evaluation()
    assert (plain.key != other.key) == changes


@pytest.mark.parametrize("part", ["transfer.fraction=0.5", "transfer.without=[3]", "transfer.classes=[7,8]"])
def test_a_transfer_set_makes_other_students_of_the_same_teacher_and_soft_labels(keys, part):
    assert changed(keys("views.mixing=none"), keys("views.mixing=none", part)) == {"student", "baseline"}


@pytest.mark.parametrize(
    "whole", ["transfer.fraction=1.0", "transfer.without=[]", "transfer.classes=[0,1,2,3,4,5,6,7,8,9]"]
)
def test_all_of_train_is_no_transfer_set_however_it_is_said(keys, whole):
    assert keys(whole) == keys()


def test_a_transfer_set_is_one_key_however_its_classes_are_typed(keys):
    one, *others = (
        keys("views.mixing=none", f"transfer.{words}")
        for words in ("without=3", "without=['3']", "classes=[9,8,7,6,5,4,2,1,0]")
    )
    assert all(other == one for other in others)


def test_students_of_a_chain_learn_from_the_transfer_set_one_and_all(session):
    whole, part = (
        session("generations=2", "assistant=mlp", "views.mixing=none", *words).plan.links
        for words in ([], ["transfer.without=3"])
    )
    assert all(one.student.key != other.student.key for one, other in zip(whole, part, strict=True))
    assert all(link.student.identity["transfer"]["without"] == ["3"] for link in part)


def test_a_bias_is_one_report_in_whatever_order_it_is_typed(session):
    one, other = (session(f"evaluate.bias={typed}") for typed in ("{3: 1, 4: 2}", "{4: 2.0, 3: 1.0}"))
    assert one.plan.evaluation().key == other.plan.evaluation().key


def test_numbers_that_are_equal_are_the_same_key(keys):
    assert keys("temperature=4") == keys("temperature=4.0")


def test_at_alpha_zero_the_student_is_the_baseline_whatever_the_rest_of_the_distillation_says(session):
    settings = (
        "temperature=7",
        "loss=logit_mse",
        "soft_labels=float32",
        "teacher=mlp",
        "teacher_source=online",
    )
    plain = session().plan.baseline.key
    assert all(session("alpha=0", setting).plan.student.key == plain for setting in settings)


def test_an_alpha_that_only_starts_at_zero_distils(session):
    assert not session("alpha=0").plan.distils
    assert session("alpha=0", "alpha_schedule=linear", "alpha_schedule.end=0.5").plan.distils


def test_views_that_never_come_back_make_the_teacher_online(session):
    assert session("views.count=null").plan.teacher_is_online
    assert not session().plan.teacher_is_online
    with pytest.raises(ConfigError, match=r"set views\.count, or teacher_source=online"):
        session("views.count=null", "teacher_source=cached")


def test_changed_hard_labels_leave_an_imported_teachers_soft_labels_alone(session, tmp_path):
    checkpoint = tmp_path / "teacher.safetensors"
    checkpoint.write_bytes(b"weights")
    imported = f"teacher.checkpoint={checkpoint}"
    one, other = (session(imported, f"data.labeled_fraction={f}").plan for f in (1.0, 0.5))
    assert one.labels.place.key == other.labels.place.key
    assert one.student.key != other.student.key
    checkpoint.write_bytes(b"other weights")
    assert session(imported).plan.labels.place.key != one.labels.place.key


def test_the_keys_of_the_default_run_do_not_change_by_accident(keys, session):
    """A change here makes every user's artefacts stale: raise the stage's format number and say so."""
    assert {stage: key[:12] for stage, key in keys("precision=fp32").items()} == PINNED
    assert session("precision=fp32").plan.evaluation().key[:12] == REPORT


PINNED = {
    "teacher": "da055adfc2d7",
    "labels": "f9493276c507",
    "student": "8375894a9b48",
    "baseline": "b21e792d964a",
}
REPORT = "f72adc0f906d"
