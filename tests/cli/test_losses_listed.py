"""`distill losses`: what is on the shelf, and what each loss needs."""

import json
import re
import shutil
import sys
from types import SimpleNamespace

import pytest
from command import installed
from test_help import modules_after

from distill_cli.cli import complete_name
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import config_dir
from distill_cli.hydra_app.losses import GROUPS, run

SHELF = sorted(path.stem for path in (config_dir() / "loss").glob("*.yaml"))


@pytest.fixture
def own(tmp_path):
    """Write a loss of the user's own, and get the words that say where it lies."""

    def write(text, name="mine"):
        file = tmp_path / "my/loss" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return "--config-dir", str(tmp_path / "my")

    return write


def listed(capsys, *words):
    run([*words, "--json"])
    return {method["name"]: method for method in json.loads(capsys.readouterr().out)}


def shown(capsys, *words):
    run(words)
    return capsys.readouterr().out


def on_a_terminal(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", shown(capsys)).splitlines()]


def test_every_loss_says_what_it_matches_what_it_needs_and_whose_it_is(capsys):
    methods = listed(capsys)
    assert sorted(methods) == SHELF
    for method in methods.values():
        assert 0 < len(method["about"]) <= 60
        assert method["needs"] in GROUPS
        assert any(letter.isdigit() for letter in method["paper"])


def test_json_has_the_weights_of_a_loss_and_null_for_one_that_goes_by_alpha(capsys):
    methods = listed(capsys)
    assert (methods["kd"]["weight"], methods["kd"]["hard_weight"]) == (None, None)
    assert (methods["lskd"]["weight"], methods["lskd"]["hard_weight"]) == (9.0, 0.1)


def test_losses_stand_below_what_they_need(capsys):
    blocks = {text.splitlines()[0]: text for text in shown(capsys).split("\n\n")}
    assert "  kd " in blocks[GROUPS["logits"]]
    assert "  crd " in blocks[GROUPS["embedding"]]
    assert "  vid " in blocks[GROUPS["features"]]
    assert "  tf_kd " in blocks[GROUPS["labels"]]
    assert "  lwf " in blocks[GROUPS["previous"]]


@pytest.mark.parametrize(
    ("columns", "kd"),
    [
        (80, "kd · probabilities, softened by the temperature"),
        (100, "kd · probabilities, softened by the temperature · alpha"),
        (140, "kd · probabilities, softened by the temperature · alpha · Hinton et al. 2015"),
        (
            160,
            "kd · probabilities, softened by the temperature · alpha · Hinton et al. 2015, arXiv:1503.02531",
        ),
    ],
)
def test_a_terminal_shows_what_fits_one_line_a_loss(monkeypatch, capsys, columns, kd):
    lines = on_a_terminal(monkeypatch, capsys, columns)
    assert max(map(len, lines)) <= columns
    assert kd in [" · ".join(part.strip() for part in line.split("  ") if part.strip()) for line in lines]
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [
        "loss",
        *sorted(SHELF, key=lambda name: (list(GROUPS).index(listed_needs(name)), name)),
    ]


def listed_needs(name):
    text = (config_dir() / "loss" / f"{name}.yaml").read_text()
    return next(line.split()[1] for line in text.splitlines() if line.startswith("needs:"))


def test_a_narrow_terminal_wraps_and_loses_nothing(monkeypatch, capsys):
    lines = on_a_terminal(monkeypatch, capsys, 60)
    assert max(map(len, lines)) <= 60
    assert "temperature" in " ".join(lines)


def test_a_pipe_gets_everything(capsys):
    (line,) = [line for line in shown(capsys).splitlines() if line.startswith("  kd ")]
    assert "alpha" in line and "arXiv:1503.02531" in line


def test_one_loss_is_shown_with_its_options(capsys):
    text = shown(capsys, "dkd")
    assert text.startswith("dkd: ")
    assert (config_dir() / "loss/dkd.yaml").read_text() in text


def test_a_loss_of_ones_own_stands_beside_ours_and_wins_over_one_of_the_same_name(capsys, own):
    own("_target_: mine.Kd\nabout: another one\n", "kd")
    words = own("_target_: mine.Loss\nneeds: features\nweight: 2.5\n")
    methods = listed(capsys, *words)
    assert methods["kd"]["about"] == "another one"
    assert (methods["mine"]["needs"], methods["mine"]["weight"]) == ("features", 2.5)
    assert len(methods) == len(SHELF) + 1
    assert f"# {words[1]}/loss/mine.yaml" in shown(capsys, "mine", *words)


def test_a_sum_of_losses_stands_below_the_most_that_it_needs(capsys, own):
    words = own(
        "defaults:\n  - /loss@terms.kd: kd\n  - /loss@terms.vid: vid\n  - _self_\n"
        "about: both\nterms:\n  vid:\n    weight: 0.5\n"
    )
    assert listed(capsys, *words)["mine"]["terms"] == ["kd", "vid"]
    block = next(text for text in shown(capsys, *words).split("\n\n") if text.startswith(GROUPS["features"]))
    (line,) = [line.split() for line in block.splitlines() if line.startswith("  mine ")]
    assert line == ["mine", "both", "alpha", "+", "0.5"]


def test_a_loss_made_of_another_has_what_it_does_not_say_itself(capsys, own):
    words = own("defaults:\n  - dkd\n  - _self_\nbeta: 2.0\nweight: 3.0\n")
    assert listed(capsys, *words)["mine"] == {
        **listed(capsys)["dkd"],
        "name": "mine",
        "weight": 3.0,
    }


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name: mine\n", "_target_"),
        ("", "_target_"),
        ("3\n", "holds no settings"),
        ("- kd\n", "is a list"),
        ("_target_: a.B\nneeds: feature\n", "did you mean features?"),
        ("_target_: a.B\nweight: -1\n", "weight=-1"),
        ("terms: [kd]\n", "terms must name losses"),
    ],
)
def test_a_broken_file_is_named_in_one_line(own, text, part):
    words = own(text)
    with pytest.raises(ConfigError) as raised:
        run(words)
    assert str(raised.value).startswith(f"{words[1]}/loss/mine.yaml: ")
    assert part in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["atention_transfer"], "did you mean 'attention_transfer'?"),
        (["qqq"], "see distill losses"),
        (["--jsn"], "did you mean '--json'?"),
        (["--config-dir", "nowhere"], "nowhere: there is no such directory"),
    ],
)
def test_a_wrong_word_is_told_with_the_right_one(words, part):
    with pytest.raises(ConfigError) as raised:
        run(words)
    assert part in str(raised.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name: mine\n  needs: [\n", ["mine.yaml, line 2"]),
        ("defaults:\n  - kdd\n", ["loss/mine.yaml", "there is no loss 'kdd'"]),
    ],
    ids=["no YAML", "made of what is not there"],
)
def test_what_only_the_installed_command_can_word_is_one_line_too(tmp_path, own, text, parts):
    ended = installed("losses", *own(text), cwd=tmp_path)
    assert ended.code == 2
    assert all(part in ended.line for part in parts)


def offered(typed, *words):
    return complete_name(SimpleNamespace(info_name="losses", params={"words": list(words)}), typed)


def test_tab_offers_names_ours_and_ones_own(own):
    words = own("_target_: a.B\n", "dkd_of_mine")
    assert offered("dk") == ["dkd"]
    assert offered("dk", *words) == ["dkd", "dkd_of_mine"]
    assert offered("dk", "--config-dir", "nowhere") == ["dkd"]


def test_the_list_needs_no_torch(tmp_path):
    shutil.copytree(config_dir() / "loss", tmp_path / "my/loss")
    modules = modules_after("losses", "--config-dir", "my", cwd=tmp_path)
    assert "distill_cli.hydra_app.losses" in modules
    assert not {"torch", "numpy", "pydantic"} & modules
