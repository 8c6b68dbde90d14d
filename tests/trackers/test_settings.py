"""The settings that trackers show: each of them can be typed, and came to bear on the run."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from distill_cli.config.overrides import as_hydra
from distill_cli.hydra_app.combinations import combined
from distill_cli.hydra_app.composition import VERSION_BASE, config_dir, user_config
from distill_cli.trackers.settings import SECTIONS, settings_of

OVERRIDES = ("student=resnet8", "teacher.optimizer=adamw", "temperature=3", "views.mixing=mixup", "seed=5")


SEVERAL = (
    *("teacher=[cnn,mlp]", "teacher.weights=[2,1]", "teacher_filter=drop", "assistant=cnn_tiny"),
    *("generations=2", "loss=[kd,dist]", "loss.terms.kd.weight=2"),
)


@pytest.fixture(scope="module", params=[OVERRIDES, SEVERAL], ids=["one", "several"])
def composed(request):
    return config_of(request.param)


def config_of(overrides):
    with user_config(None), initialize_config_dir(str(config_dir()), version_base=VERSION_BASE):
        return compose("config", overrides=[as_hydra(combined(word)) for word in overrides])


@pytest.fixture(scope="module")
def config(composed):
    return OmegaConf.to_object(composed)


def test_what_was_typed_is_shown_under_the_name_it_was_typed_with():
    shown = settings_of(OmegaConf.to_object(config_of(OVERRIDES)), "student")
    typed = {
        "student": "resnet8",
        "teacher.optimizer": "AdamW",
        "temperature": 3.0,
        "views.mixing": "mixup",
        "seed": 5,
    }
    assert typed.items() <= shown.items()
    assert shown["student.seed"] == 5 and shown["student.model.depth"] == 8


def test_lists_are_shown_by_the_name_that_they_have_together():
    shown = settings_of(OmegaConf.to_object(config_of(SEVERAL)), "student")
    typed = {
        "teacher": "cnn+mlp",
        "teacher.weights": "[2, 1]",
        "teacher_filter": "drop",
        "assistant": "cnn_tiny",
        "generations": 2,
        "loss": "dist+kd",
        "loss.terms.kd.weight": 2,
    }
    assert typed.items() <= shown.items()


def test_what_there_is_none_of_is_not_shown():
    shown = settings_of(OmegaConf.to_object(config_of(OVERRIDES)), "student")
    assert not {key for key in shown if key.startswith(("assistant", "peers"))}


@pytest.mark.parametrize("stage", SECTIONS)
def test_every_setting_is_a_setting_of_the_config(config, composed, stage):
    nothing = object()
    for key in settings_of(config, stage):
        place = {"teacher": "teacher.model", "student": "student.model"}.get(key, key)
        assert OmegaConf.select(composed, place, default=nothing) is not nothing, key


def test_a_teacher_and_a_baseline_know_nothing_of_distillation(config):
    for stage in ("teacher", "baseline"):
        assert not {"temperature", "alpha", "loss", "soft_labels"} & settings_of(config, stage).keys()
    assert "student.epochs" not in settings_of(config, "teacher")
    assert "teacher.epochs" not in settings_of(config, "baseline")


@pytest.mark.parametrize("stage", SECTIONS)
def test_no_path_and_nothing_of_the_trackers_themselves_is_shown(config, stage):
    sections = {key.partition(".")[0] for key in settings_of(config, stage)}
    assert not sections & {"paths", "logger", "gates", "lock", "export"}
    assert "teacher.checkpoint" not in settings_of(config, stage)


def test_a_report_has_its_bias_and_nothing_that_was_trained_has():
    typed = OmegaConf.to_object(config_of([*OVERRIDES, "evaluate.bias={3: fit, 7: -0.5}"]))
    from_a_file = OmegaConf.to_object(config_of(["experiment=mnist_hinton_without_3"]))
    assert settings_of(typed, "report")["evaluate.bias"] == "{3: fit, 7: -0.5}"
    assert settings_of(from_a_file, "report")["evaluate.bias"] == "{3: 3.5}"
    for stage in set(SECTIONS) - {"report"}:
        assert "evaluate.bias" not in settings_of(typed, stage)
    assert "evaluate.bias" not in settings_of(OmegaConf.to_object(config_of(OVERRIDES)), "report")
