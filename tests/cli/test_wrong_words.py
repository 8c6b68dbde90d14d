"""A mistake on the command line is one line that says what to type instead, and exit code 2."""

import pytest
from command import installed, within
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

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
    # sweeps
    "-m": "-m has nothing to sweep; give a setting several values, such as temperature=1,2,4,8, or leave out -m",
    "-m temperature=4": "-m has nothing to sweep",
    "-m +sweep=temperature temperature=4": "such as temperature=1,2,4,8,20, or leave out -m",
    "-m seed=0 seed=1 seed=2": "such as seed=0,1,2, or",
    "-m temperature=1,1": "temperature=1,1: temperature=1 is there more than once",
    "-m temperature=1,2,1.0": "temperature=1.0 is there more than once",
    "-m student=cnn,resnet8,cnn": "student=cnn is there more than once",
    "-m +sweep=temperature hydra.sweeper.params.temperature='1,1'": "temperature=1 is there more than once",
    "-m seed=range(5,5)": "seed=range(5,5) has no values",
    "-m temperature=[1,2]": "must be a number; for several, with -m: temperature=1,2",
    "-m seed=0..4": "must be a whole number; for all of these, with -m: seed=range(0,5)",
    "-m temperature=1, 2": "'temperature=1,' ends with a comma; several values have no spaces between them",
    "-m temperature=1, alpha=0.5": "'temperature=1,' ends with a comma",
    "-m temperature=1;2": "is not KEY=VALUE",
    "-m temperature=4,-1,2": "temperature=-1: must be above 0 (1 to 20 is usual)",
    "-m seed=0,1 hydra.sweeper.max_batch_size=0": "hydra.sweeper.max_batch_size=0: must be at least 1",
    "-m temperature=interval(1,20)": "a range to search needs hydra/sweeper=optuna",
    "-m hydra/launcher=joblib hydra.launcher.n_jobs=0 seed=0,1": "hydra.launcher.n_jobs=0: must be at least 1",
    # searches
    "-m hydra/sweeper=optuna": "nothing to search; give a setting a range",
    "-m hydra/sweeper=optuna temperature=4": "nothing to search",
    "-m +sweep=optuna hydra.sweeper.n_trials=0": "hydra.sweeper.n_trials=0: must be at least 1",
    "-m +sweep=optuna hydra.sweeper.n_trials=x": "hydra.sweeper.n_trials=x: must be a whole number",
    "-m +sweep=optuna hydra.sweeper.n_jobs=0": "hydra.sweeper.n_jobs=0: must be at least 1",
    "-m +sweep=optuna hydra.sweeper.max_failure_rate=2": "must be from 0 to 1",
    "-m +sweep=optuna hydra.sweeper.storage=sqlite:///a.db": "needs hydra.sweeper.study_name=NAME",
    "-m +sweep=optuna hydra/sweeper/sampler=gird": "did you mean 'grid'?",
}

NEEDS_EXTRA = {
    "hydra/launcher=joblib": ("launcher", "joblib", "parallel"),
    "hydra/launcher=submitit_local": ("launcher", "submitit_local", "slurm"),
    "hydra/launcher=submitit_slurm": ("launcher", "submitit_slurm", "slurm"),
    "hydra/sweeper=optuna": ("sweeper", "optuna", "optuna"),
    "+sweep=optuna": ("sweeper", "optuna", "optuna"),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line_with_the_remedy(words, capsys):
    ended = within(capsys, *words.split(" "))
    assert ended.code == 2
    assert ended.line.startswith("distill: error: ")
    assert MISTAKES[words] in ended.line
    assert ended.out == ""


@pytest.mark.parametrize("word", NEEDS_EXTRA)
def test_what_is_not_installed_names_its_extra(word, monkeypatch, capsys):
    group, name, extra = NEEDS_EXTRA[word]
    Plugins.instance()  # registers what is installed
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"][group], f"{name}.yaml")
    monkeypatch.setattr("distill_cli.hydra_app.search.offer", lambda: None)
    ended = within(capsys, "-m", word, "seed=0,1")
    assert ended.code == 2
    assert (
        f"there is no hydra/{group} '{name}'; install it with: pip install 'distill-cli[{extra}]'"
        in ended.line
    )


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
