"""What is advised follows from the config, and can be typed as it stands."""

from dataclasses import asdict
from functools import cache

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from distill_cli.config.overrides import as_hydra
from distill_cli.evaluation.remedies import remedies
from distill_cli.hydra_app.combinations import combined
from distill_cli.hydra_app.composition import VERSION_BASE, config_dir, user_config


@cache
def composed(*overrides):
    HydraConfig.instance().cfg = None
    with user_config(None), initialize_config_dir(str(config_dir()), version_base=VERSION_BASE):
        return OmegaConf.to_object(
            compose("config", overrides=[as_hydra(combined(word)) for word in overrides])
        )


def advised(*overrides, temperature=3.0, ratio=40.0):
    return remedies(composed(*overrides), temperature, ratio)


@pytest.mark.parametrize(
    ("student", "advice"),
    [
        ("mlp_24", "student.model.width=48"),
        ("cnn_tiny", "student.model.widths=[32,64,128]"),
        ("mobilenet_v2", "student=cnn_digits"),
    ],
)
def test_a_student_too_small_is_doubled_or_becomes_its_teacher(student, advice):
    assert advised(f"student={student}").larger_student == advice


@pytest.mark.parametrize(
    ("teacher", "ratio"), [("mobilenet_v2", 1.0), ("mobilenet_v2", 2.0), ("cnn_digits", 0.03)]
)
def test_a_student_does_not_become_a_teacher_that_it_is_already_or_that_is_smaller(teacher, ratio):
    found = advised(f"teacher={teacher}", "student=mobilenet_v2", ratio=ratio)
    assert found.larger_student == "student=NAME_OF_A_LARGER_MODEL"


def test_a_student_does_not_become_several_teachers():
    found = advised("teacher=cnn_digits+mlp", "student=mobilenet_v2", ratio=2.0)
    assert found.larger_student == "student=NAME_OF_A_LARGER_MODEL"


@pytest.mark.parametrize("schedule", ["linear", "cosine", "exponential", "step", "learned"])
def test_a_temperature_that_moves_is_stopped_where_it_says_something(schedule):
    found = advised(f"temperature_schedule={schedule}")
    assert found.temperature == "temperature_schedule=constant temperature=3"
    assert found.telling_views == "views.mixing=cutmix temperature_schedule=constant temperature=3"


def test_a_longer_training_takes_its_milestones_along():
    assert advised().longer_training == "student.epochs=450"
    stepped = advised("student.lr_schedule=step", "student.epochs=240").longer_training
    assert stepped == "student.epochs=720 student.lr_schedule.milestones=[450,540,630]"


@pytest.mark.parametrize(
    ("overrides", "ratio", "advice"),
    [
        ((), 40.0, "teacher.epochs=180"),
        (("teacher=mlp_24",), 1.0, "teacher.model.width=96"),
        (("teacher=mobilenet_v2",), 1.0, "teacher=NAME_OF_A_LARGER_MODEL"),
        (("teacher.checkpoint=old.safetensors",), 1.0, "teacher.checkpoint=BETTER.safetensors"),
        (
            ("teacher=[cnn,mlp]", "teacher.checkpoint=[a.safetensors,b.safetensors]"),
            1.0,
            "teacher.checkpoint=[BETTER.safetensors,BETTER.safetensors]",
        ),
    ],
)
def test_a_teacher_gets_larger_than_its_student_first_and_trains_longer_then(overrides, ratio, advice):
    assert advised(*overrides, ratio=ratio).better_teacher == advice


def test_an_overconfident_teacher_gets_views_it_does_not_know_and_a_temperature_at_which_it_says_more():
    assert advised().telling_views == "views.mixing=cutmix temperature=3"
    assert advised("views.mixing=cutmix").telling_views == "temperature=3"


def test_a_soft_term_that_fades_stays_where_it_starts_high_and_is_raised_where_it_does_not():
    assert advised("alpha=0.5").more_alpha == "alpha=0.9"
    assert advised("alpha=0.95", "alpha_schedule=linear").more_alpha == "alpha_schedule=constant"


@pytest.mark.parametrize(
    ("loss", "advice"),
    [
        (("loss=kd",), None),
        (("loss=nst",), "loss.weight=5"),
        (("loss=dkd", "loss.weight=0"), None),
        (
            ("loss=[kd,nst,attention_transfer]",),
            "loss.terms.attention_transfer.weight=100 loss.terms.nst.weight=5",
        ),
    ],
)
def test_each_loss_with_a_weight_of_its_own_gets_a_tenth_of_it(loss, advice):
    assert advised(*loss).lighter_loss == advice


def test_gradients_are_clipped_first_and_the_learning_rate_is_lowered_then():
    assert advised().steadier_training == "student.clip_norm=1"
    assert advised("student.clip_norm=5").steadier_training == "student.clip_norm=1"
    clipped = advised("student.clip_norm=1", "student.optimizer.lr=0.05").steadier_training
    assert clipped == "student.optimizer.lr=0.005"


def test_a_teacher_trains_at_least_as_long_as_its_student_and_one_from_elsewhere_not_at_all():
    assert advised("teacher.epochs=2").longer_teacher == "teacher.epochs=150"
    assert advised("teacher.epochs=100").longer_teacher == "teacher.epochs=300"
    assert advised("teacher.epochs=150").longer_teacher is None
    assert advised("teacher.epochs=2", "teacher.checkpoint=old.safetensors").longer_teacher is None


def test_whatever_is_advised_composes():
    overrides = ("alpha=0.5", "student=mobilenet_v2", "student.lr_schedule=step", "loss=[kd,nst,dkd]")
    before = composed(*overrides)
    for advice in asdict(remedies(before, 3.0, 1.0)).values():
        if advice is not None and "NAME" not in advice:
            assert composed(*overrides, *advice.split()) != before
