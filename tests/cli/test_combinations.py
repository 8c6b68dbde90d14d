"""Several options of one group: lists on the command line, in sweeps, in messages and behind <TAB>."""

import pytest
from command import within
from hydra.types import RunMode
from omegaconf import OmegaConf

from distill_cli.config.overrides import as_hydra
from distill_cli.hydra_app.combinations import LONGEST, combined
from distill_cli.hydra_app.completion import complete_override
from distill_cli.hydra_app.composition import config_loader, user_config


@pytest.mark.parametrize(
    ("typed", "one"),
    [
        ("teacher=[cnn,mlp]", "teacher=cnn+mlp"),
        ("teacher=[cnn, mlp]", "teacher=cnn+mlp"),
        ("teacher=['cnn',\"mlp\"]", "teacher=cnn+mlp"),
        ("teacher=[cnn]", "teacher=cnn"),
        ("teacher=cnn+mlp", "teacher=cnn+mlp"),
        ("teacher=mlp,[cnn,mlp]", "teacher=mlp,cnn+mlp"),
        ("teacher=choice([cnn,mlp],mlp)", "teacher=choice(cnn+mlp,mlp)"),
        ("model@teacher.model=[cnn,mlp]", "model@teacher.model=cnn+mlp"),
        ("loss=[kd,dist]", "loss=dist+kd"),
        ("loss=dkd,[kd,dist],rkd+kd", "loss=dkd,dist+kd,kd+rkd"),
        ("assistant=[cnn,mlp]", "assistant=cnn+mlp"),
        ("+experiment=[a,b]", "+experiment=[a,b]"),
        ("logger=[tensorboard,wandb]", "logger=[tensorboard,wandb]"),
        ("teacher.model.widths=[1,2]", "teacher.model.widths=[1,2]"),
        ("teacher.weights=[1,2]", "teacher.weights=[1,2]"),
        ("teacher={epochs: 3}", "teacher={epochs: 3}"),
        ("views={sizes: [1,2]}", "views={sizes: [1,2]}"),
        ("views=[shift]", "views=[shift]"),
        ("data.path=[flowers,more]", "data.path=[flowers,more]"),
        ("=[a,b]", "=[a,b]"),
        ("~teacher", "~teacher"),
    ],
)
def test_a_list_of_options_is_one_option_and_other_lists_stay(typed, one):
    assert combined(typed) == one


def composed(*overrides):
    with user_config(None), config_loader() as loader:
        words = [as_hydra(combined(override)) for override in overrides]
        return OmegaConf.to_container(loader.load_configuration("config", words, RunMode.RUN))


def test_its_config_has_each_of_them_under_its_name():
    model = composed("teacher=[cnn,mlp]", "teacher.model.members.mlp.width=7")["teacher"]["model"]
    assert model["name"] == "cnn+mlp" and list(model["members"]) == ["cnn", "mlp"]
    assert model["members"]["mlp"]["width"] == 7 and model["members"]["cnn"]["name"] == "cnn"


def test_one_that_is_named_twice_is_there_twice():
    assert list(composed("teacher=[mlp,cnn,mlp]")["teacher"]["model"]["members"]) == ["mlp", "cnn", "mlp-2"]


def test_a_long_list_has_a_name_that_fits_into_a_file_name():
    name = composed(f"teacher=[{','.join(['mobilenet_v2'] * 9)}]")["teacher"]["model"]["name"]
    assert name == "mobilenet_v2+8" and len(name) <= LONGEST


def test_each_loss_of_a_sum_may_have_a_weight():
    loss = composed("loss=[kd,dist]", "loss.terms.kd.weight=2")["loss"]
    assert loss["terms"]["kd"]["weight"] == 2 and loss["terms"]["kd"]["weight_schedule"] is None


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["teacher=[cnn,mpl]"], "teacher=mpl: there is no model 'mpl'; did you mean 'mlp'? There are cnn, "),
        (["assistant=[cnn,mpl]"], "assistant=mpl: there is no model 'mpl'; did you mean 'mlp'?"),
        (["loss=[kd,dst]"], "loss=dst: there is no loss 'dst'; did you mean 'dist'?"),
        (["teacher=[]"], "teacher=[]: must be a name, or several: teacher=[A,B]"),
        (["loss=[]"], "loss=[]: must be a name, or several: loss=[A,B]"),
        (["teacher=[cnn,[mlp,cnn]]"], "must be a name, or several: teacher=[A,B]"),
        (["teacher=[cnn,,mlp]"], "teacher=[cnn,,mlp]: a name is missing; write teacher=[A,B]"),
        (["teacher=cnn+"], "teacher=cnn+: a name is missing; write teacher=[A,B]"),
        (["student=[cnn,mlp]"], "student=[cnn,mlp]: must be one model; for each, with -m: student=cnn,mlp"),
        (["student=cnn+mlp"], "student=[cnn,mlp]: must be one model"),
        (["teacher=[cnn,mlp]", "teacher.model.width=3"], "did you mean 'teacher.model.members.mlp.width'?"),
        (["loss=[kd,dist]", "loss.terms.kd.wieght=3"], "did you mean 'loss.terms.kd.weight'?"),
        (["views=[shift,crop]"], "views=[shift,crop]: must be one name; for each, with -m: views=shift,crop"),
        (["teacher.views=[none, 'shift']"], "must be one name; for each, with -m: teacher.views=none,shift"),
        (["+views=[shift,none]"], "views=[shift,none]: must be one name"),
        (["data=[digits,mnist]"], "data=[digits,mnist]: must be one name"),
        (["student.optimizer=[sgd,adam]"], "student.optimizer=[sgd,adam]: must be one name"),
        (["~teacher"], "teacher has no value; set it with teacher=..."),
        (["~student"], "student has no value; set it with student=..."),
        (["~teacher=cnn_digits"], "teacher has no value; set it with teacher=..."),
        (["teacher=null"], "teacher must not be null"),
        (["teacher={a: 1}"], "no setting 'teacher.a'"),
        (["+teacher=mlp"], "teacher is there already; write teacher=... without the +"),
    ],
)
def test_what_is_wrong_with_a_list_is_one_line_in_the_words_that_were_typed(capsys, words, line):
    ended = within(capsys, *words)
    assert ended.code == 2 and line in ended.line
    assert "+" not in ended.line.partition("There are ")[2]


@pytest.mark.parametrize(
    "word", ["~assistant", "~peers", "~teacher_filter", "~teacher.views", "assistant=null"]
)
def test_what_may_be_left_out_can_be(capsys, word):
    assert within(capsys, word, "--cfg", "job").code == 0


def test_it_is_shown_as_it_will_be(capsys):
    ended = within(capsys, "teacher=[cnn,mlp]", "--cfg", "job", "-p", "teacher.model")
    assert ended.code == 0 and "name: cnn+mlp" in ended.out and "members:" in ended.out


@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        ("teacher=[resnet5", "teacher=[resnet56"),
        ("teacher=[cnn,resnet5", "teacher=[cnn,resnet56"),
        ("teacher=mlp,[cnn,resnet5", "teacher=mlp,[cnn,resnet56"),
        ("loss=[kd,dis", "loss=[kd,dist"),
        ("loss=kd+dis", "loss=kd+dist"),
    ],
)
def test_tab_goes_on_within_a_list(begun, offered):
    assert offered in complete_override([], begun)


def test_tab_offers_no_list_that_was_made_up_before():
    combined("loss=[kd,dist]")
    assert "loss=kd" in complete_override([], "loss=kd")
    assert "loss=kd+dist" not in complete_override([], "loss=kd")


def test_a_sum_in_a_file_is_one_line_that_says_where_it_is_written_down(tmp_path, capsys):
    (tmp_path / "experiment").mkdir()
    lines = ["# @package _global_", "defaults:", "  - override /loss: kd+srrl", ""]
    (tmp_path / "experiment/mine.yaml").write_text("\n".join(lines))
    ended = within(capsys, "--config-dir", str(tmp_path), "experiment=mine")
    assert (
        ended.code == 2
        and "in a file a sum is written out, with an entry for each; docs/methods.md shows how" in ended.line
    )
