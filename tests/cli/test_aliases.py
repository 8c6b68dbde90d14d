"""`student=resnet8` and its like, on the way to Hydra and back."""

import pytest
from command import within
from omegaconf import OmegaConf

from distill_cli.config.overrides import ALIASES, as_hydra, as_typed


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("value", ["name", "a,b", "choice(a,b)", '"quoted"', ""])
def test_a_short_name_becomes_a_choice_of_its_group_and_back(alias, value):
    assert as_hydra(f"{alias}={value}") == f"{ALIASES[alias]}={value}"
    assert as_typed(as_hydra(f"{alias}={value}")) == f"{alias}={value}"


@pytest.mark.parametrize(
    "override",
    [
        "student.optimizer.lr=0.1",
        "student={epochs: 3}",
        "teacher.views=null",
        "views=shift",
        "views.count=3",
        "++student=x",
        "~experiment",
        "temperature=teacher",
    ],
)
def test_everything_else_is_left_as_it_is(override):
    assert as_hydra(override) == override


def test_a_short_name_can_be_left_out_and_is_shown_as_it_was_typed():
    assert as_hydra("~assistant") == "~model@assistant" and as_hydra("~student") == "~model@student.model"
    assert as_typed("~model@assistant") == as_typed("~model@assistant=null") == "~assistant"


def test_a_deletion_is_shown_without_the_null_of_a_sweep():
    assert as_typed("~experiment=null") == as_typed("~experiment") == "~experiment"
    assert as_typed("~experiment=kd") == "~experiment=kd" and as_typed("gates=null") == "gates=null"


def composed(capsys, *words):
    ended = within(capsys, "--cfg", "job", *words)
    assert ended.code == 0, ended.err
    return OmegaConf.create(ended.out)


def test_the_short_names_choose(capsys):
    config = composed(
        capsys,
        "teacher=resnet56",
        'student="resnet8"',
        "teacher.optimizer=adamw",
        "student.optimizer=adam",
        "teacher.lr_schedule=step",
        "student.lr_schedule=constant",
        "teacher.views=crop_flip",
        "views.mixing=mixup",
        "student.optimizer.lr=0.125",
    )
    assert (config.teacher.model.name, config.student.model.name) == ("resnet56", "resnet8")
    assert config.teacher.optimizer._target_.endswith("AdamW")
    assert config.student.optimizer._target_.endswith("Adam")
    assert config.student.optimizer.lr == 0.125
    assert config.teacher.lr_schedule._target_.endswith("StepRate")
    assert config.student.lr_schedule._target_.endswith("ConstantRate")
    assert config.teacher.views.name == "crop_flip"
    assert config.views.mixing.name == "mixup"


def test_a_mapping_is_merged_into_the_recipe(capsys):
    config = composed(capsys, "student={epochs: 3, l1: 0.5}")
    assert (config.student.epochs, config.student.l1) == (3, 0.5)
    assert config.student.model.name == composed(capsys).student.model.name


@pytest.mark.parametrize(
    ("typed", "bias"),
    [
        ("evaluate.bias={8: 2}", "{8: 2}"),
        ("evaluate.bias={8:2,3:${seed}}", "{8:2,3:0}"),
        ("evaluate.bias=fit", "fit"),
        ("evaluate.bias=null", None),
        ("~evaluate.bias", None),
        ("evaluate.bias.3=2", {3: 3.5, "3": 2}),
        ("evaluate.bias.8=2", {3: 3.5, "8": 2}),
        ("+evaluate.bias={8: 2}", {3: 3.5, 8: 2}),
    ],
)
def test_a_bias_replaces_that_of_an_experiment_and_one_class_is_changed_in_it(capsys, typed, bias):
    found = composed(capsys, "experiment=mnist_hinton_without_3", typed, "--resolve")
    assert found.evaluate.bias == bias


@pytest.mark.parametrize(
    "typed",
    ["evaluate.bias={8: 2}", "evaluate.bias={8: 1},{3: 2, Ankle boot: fit},fit", "evaluate.bias.3=1,2"],
)
def test_a_bias_is_shown_as_it_was_typed_and_means_the_same_when_typed_again(typed):
    assert as_typed(as_hydra(typed)) == typed and as_hydra(as_hydra(typed)) == as_hydra(typed)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("evaluate.bias=fit", "+evaluate.bias.3=2"), "put all classes into evaluate.bias={…}"),
        (("~evaluate.bias.3",), "evaluate.bias.3 cannot be left out; write evaluate.bias={…}"),
    ],
)
def test_what_would_be_lost_from_a_bias_is_refused(capsys, words, line):
    ended = within(capsys, "experiment=mnist_hinton_without_3", *words, "--cfg", "job")
    assert ended.code == 2 and line in ended.line
