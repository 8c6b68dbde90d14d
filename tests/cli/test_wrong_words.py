"""A mistake on the command line is one line that says what to type instead, and exit code 2."""

import pytest
from command import installed, within

MISTAKES = {
    # names
    "temprature=2": "did you mean 'temperature'?",
    "student.epoch=3": "did you mean 'student.epochs'?",
    "student.lr=0.1": "did you mean 'student.optimizer.lr'?",
    "epochs=3": "'teacher.epochs' or 'student.epochs'",
    "los=kd": "did you mean 'loss'?",
    "hydra.job.nme=x": "did you mean 'hydra.job.name'?",
    "data=folder data.pth=x": "did you mean 'data.path'?",
    "student.optimizer.betas=[0.9,0.99]": "+student.optimizer.betas=",
    "nonsense=1": "--cfg job lists them",
    "~nonsense": "--cfg job lists them",
    "foo@bar=1": "no setting 'foo'",
    # options of a group
    "student=resnet21": "did you mean 'resnet20'? There are cnn, ",
    "teacher=resnet57": "teacher=resnet57: there is no model 'resnet57'; did you mean 'resnet56'?",
    "data=cifar": "did you mean 'cifar10'?",
    "loss=kdd": "did you mean 'kd'?",
    "experiment=digit": "did you mean 'digits'?",
    "experiment=zzz": "There are ",
    "student.optimizer=adamv": "student.optimizer=adamv: there is no optimizer 'adamv'; did you mean 'adam",
    "teacher.views=cropflip": "teacher.views=cropflip: there is no views 'cropflip'; did you mean 'crop_flip'?",
    "student=": "There are cnn, ",
    "student=5": "student=5: must be a name",
    "experiment=null": "~experiment leaves it out",
    "optimizer=adam": "student.optimizer=NAME",
    "model=cnn": "teacher=NAME or student=NAME",
    "sweep=seeds": "+sweep=NAME",
    "hydra/launcher=submitit_slurm": "pip install 'distill-cli[slurm]'",
    "--config-name nope": "there is no nope.yaml",
    # types and values
    "student.epochs=abc": "student.epochs=abc: must be a whole number",
    "student.epochs=2.5": "must be a whole number",
    "student.epochs=null": "student.epochs must not be null",
    "student=null": "student must not be null",
    "temperature=hot": "temperature=hot: must be a number",
    "temperature=": "must be a number",
    "temperature.x=3": "there are no settings below it",
    "evaluate.latency=maybe": "must be true or false",
    "++student=resnet8": "without +",
    "+temperature=3": "without the +",
    "paths.outputs=${nope}": "Interpolation key 'nope' not found",
    # the grammar, and words that are no overrides
    "temperature=[1": "'temperature=[1' is not KEY=VALUE",
    "temperature=1,2": "add -m",
    "seed=range(3)": "add -m",
    "temprature": "did you mean 'temperature'?",
    "--cgf job": "did you mean '--cfg'?",
    "--cfg jbo": "choose from job, hydra, all",
    "--cfg": "choose from job, hydra, all",
    "--info foo": "choose from ",
    "--nonsense": "there are ",
    "-m --cfg job": "cannot be used together",
    "--resolve": "needs --cfg",
    "--config-dir nope": "--config-dir nope: there is no such directory",
    "--config-dir": "--config-dir needs a value",
    "-m student=resnet8,resnet21": "did you mean 'resnet20'?",
    "-m temperature=1,abc": "temperature=abc: must be a number",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line_with_the_remedy(words, capsys):
    ended = within(capsys, *words.split(" "))
    assert ended.code == 2
    assert ended.line.startswith("distill: error: ")
    assert MISTAKES[words] in ended.line
    assert ended.out == ""


@pytest.mark.parametrize("words", ["temprature=2", "student=resnet21", "student.epochs=abc", "--nonsense"])
def test_so_it_is_for_the_installed_command(words, tmp_path):
    ended = installed("distill", *words.split(" "), cwd=tmp_path)
    assert ended.code == 2
    assert ended.line.startswith("distill: error: ")


def test_a_mistake_in_a_yaml_names_the_file(tmp_path, capsys):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "hot.yaml").write_text("# @package _global_\ntemperature: hot\n")
    ended = within(capsys, "--config-dir", "mine", "experiment=hot")
    assert ended.code == 2
    assert "experiment/hot.yaml: " in ended.line
    assert "must be a number" in ended.line


def test_yaml_that_is_none_names_file_and_line(tmp_path, capsys):
    (tmp_path / "mine" / "loss").mkdir(parents=True)
    (tmp_path / "mine" / "loss" / "bad.yaml").write_text("name: bad\n_target_: [\n")
    ended = within(capsys, "--config-dir", "mine", "loss=bad")
    assert ended.code == 2
    assert "bad.yaml, line 3: " in ended.line


def test_who_asks_for_the_traceback_gets_it(monkeypatch, capsys):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert "Traceback" in within(capsys, "temprature=2").err
