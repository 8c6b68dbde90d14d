"""What <TAB> offers."""

import pytest
from command import installed

from distill_cli.hydra_app.completion import complete_override


def test_a_group_offers_its_options():
    assert {"data=cifar10", "data=cifar100"} <= set(complete_override([], "data=c"))
    assert "experiment=digits" in complete_override([], "experiment=")


@pytest.mark.parametrize("alias", ["student", "teacher"])
def test_a_short_name_offers_the_models(alias):
    offered = complete_override([], f"{alias}=re")
    assert f"{alias}=resnet8" in offered
    assert all(word.startswith(f"{alias}=re") for word in offered)


def test_the_next_value_of_a_sweep_is_offered():
    assert "student=resnet8,resnet56" in complete_override(["-m"], "student=resnet8,resnet5")


def test_keys_are_offered():
    assert {"temperature=", "temperature_schedule="} <= set(complete_override([], "temp"))
    assert {"student.optimizer=", "student.optimizer."} <= set(complete_override([], "student.opt"))
    assert "student.optimizer.lr=" in complete_override([], "student.optimizer.l")


def test_what_is_chosen_counts_for_the_keys_below_it():
    assert "data.path=" in complete_override(["data=folder"], "data.")


def test_groups_that_only_exist_for_one_place_are_not_offered_alone():
    assert not {"model=", "optimizer=", "mixing=", "training="} & set(complete_override([], ""))


def test_words_that_bash_cut_at_the_equals_sign_are_understood():
    assert "resnet8" in complete_override(["temperature", "=", "2", "student", "="], "resnet")
    assert "resnet8" in complete_override(["temperature", "=", "2", "student"], "")
    assert complete_override(["temperature", "=", "2"], "dev") == ["device="]


def test_a_directory_of_the_users_own_counts(tmp_path):
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "zebra.yaml").write_text("name: zebra\n")
    assert complete_override(["--config-dir", str(tmp_path)], "loss=z") == ["loss=zebra"]
    assert complete_override(["--config-dir", "/nowhere"], "loss=kd") == ["loss=kd"]


def test_the_shell_gets_them(tmp_path):
    words = "distill distill student=resnet5"
    ended = installed(
        cwd=tmp_path, COMP_WORDS=words, COMP_CWORD="2", _DISTILL_COMPLETE="complete_bash", TERM="dumb"
    )
    assert ended.out.split() == ["student=resnet50", "student=resnet50_cifar", "student=resnet56"]
