"""Flags and overrides may stand in any order."""

import argparse

import pytest
from command import within

from distill_cli.hydra_app.arguments import Arguments
from distill_cli.hydra_app.launch import _lazy_help_allowed


def test_flags_are_sorted_before_overrides():
    arguments = Arguments.parse(["a=1", "-m", "~b", "--package", "student", "+c=2", "-cn", "mine"])
    assert arguments.flags == ["-m", "--package", "student", "-cn", "mine"]
    assert arguments.overrides == ["a=1", "~b", "+c=2"]


@pytest.mark.parametrize("words", [["--config-dir", "a=b"], ["--config-dir=a=b"], ["-cd", "a=b"]])
def test_the_value_of_a_flag_is_no_override(words):
    arguments = Arguments.parse(words)
    assert arguments.config_dir == "a=b"
    assert arguments.overrides == []


@pytest.mark.parametrize(
    "words",
    [
        "student=resnet8 --cfg job",
        "--cfg job student=resnet8",
        "-c job student=resnet8",
        "student=resnet8 --cfg=job",
    ],
)
def test_any_order_will_do(words, capsys):
    ended = within(capsys, *words.split())
    assert ended.code == 0
    assert "resnet8" in ended.out


def test_a_part_of_the_config_can_be_shown(capsys):
    assert "epochs: 3" in within(capsys, "--cfg", "job", "--package", "student", "student.epochs=3").out


def test_interpolations_can_be_shown_resolved(capsys):
    assert "${" not in within(capsys, "--cfg", "job", "--resolve").out


@pytest.mark.parametrize("words", ["--info", "--info temperature=2", "--info searchpath", "-i config"])
def test_hydra_tells_about_itself(words, capsys):
    ended = within(capsys, *words.split())
    assert ended.code == 0
    assert "conf" in ended.out


def test_what_python_3_14_checks_in_argparse_is_no_obstacle(monkeypatch):
    from hydra._internal.utils import get_args_parser

    original = argparse.ArgumentParser.add_argument

    def check(self, action):
        if not isinstance(action.help, str | None):
            raise ValueError("badly formed help string")

    def add_argument(self, *args, **kwargs):
        action = original(self, *args, **kwargs)
        self._check_help(action)
        return action

    monkeypatch.setattr(argparse.ArgumentParser, "_check_help", check, raising=False)
    monkeypatch.setattr(argparse.ArgumentParser, "add_argument", add_argument)
    with pytest.raises(ValueError, match="badly formed"):
        get_args_parser()
    with _lazy_help_allowed():
        get_args_parser()
