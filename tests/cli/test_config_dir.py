"""A user's own YAML."""

import pytest
from command import within
from omegaconf import OmegaConf


@pytest.fixture
def mine(tmp_path):
    directory = tmp_path / "my conf"
    (directory / "model").mkdir(parents=True)
    (directory / "model" / "resnet8.yaml").write_text("name: resnet8\n_target_: mine.ResNet8\n")
    (directory / "model" / "novel.yaml").write_text("name: novel\n_target_: mine.Novel\n")
    return str(directory)


def composed(capsys, *words):
    ended = within(capsys, "--cfg", "job", *words)
    assert ended.code == 0, ended.err
    return OmegaConf.create(ended.out)


def test_it_wins_over_ours_of_the_same_name(mine, capsys):
    assert composed(capsys, "--config-dir", mine, "student=resnet8").student.model._target_ == "mine.ResNet8"


def test_it_adds_to_ours(mine, capsys):
    config = composed(capsys, "--config-dir", mine, "student=novel", "teacher=resnet56")
    assert config.student.model._target_ == "mine.Novel"
    assert config.teacher.model.name == "resnet56"


def test_it_may_be_relative(mine, capsys):
    assert composed(capsys, "--config-dir=my conf", "student=novel").student.model.name == "novel"


def test_the_next_command_does_not_see_it(mine, capsys):
    composed(capsys, "--config-dir", mine, "student=novel")
    assert within(capsys, "student=novel").code == 2


def test_its_names_are_suggested_too(mine, capsys):
    assert "did you mean 'novel'?" in within(capsys, "--config-dir", mine, "student=nvel").line
