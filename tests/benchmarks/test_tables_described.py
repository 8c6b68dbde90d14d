"""Descriptions of tables: what their rows come to, and one line for each mistake in them."""

import shlex

import pytest
from hydra.types import RunMode
from table_parts import DESCRIPTIONS, described, table_modules

from distill_cli.config.overrides import as_hydra
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.combinations import combined
from distill_cli.hydra_app.composition import config_loader, user_config
from distill_cli.hydra_app.recomposition import composing_once

HEAD = "title: Tiny\nabout: What is published.\nmeasure: errors\nseeds: [0]\n"
NAMES = sorted(path.stem for path in DESCRIPTIONS.glob("*.yaml"))


@pytest.fixture(scope="module")
def expansion():
    with table_modules() as modules:
        yield modules.expansion


def read(expansion, directory, text, name="tiny"):
    return expansion.read_table(described(directory, HEAD + text, name), name)


def test_a_row_is_a_run_for_each_seed_that_its_words_have_a_place_for(expansion, tmp_path):
    text = (
        "seeds: [0, 1]\ncommon: data=digits\nrows: [{label: A, run: 'seed={seed}'}, {label: B, run: alpha=0}]"
    )
    one, other = read(expansion, tmp_path, text).rows
    assert one.runs == ["data=digits seed=0", "data=digits seed=1"]
    assert other.runs == ["data=digits alpha=0"]


def test_rows_with_the_same_words_share_their_runs(expansion, tmp_path):
    text = "seeds: [0, 1]\ncommon: seed={seed}\nrows: [{label: A, of: teacher}, {label: B, measure: recall of 3}]"
    table = read(expansion, tmp_path, text)
    assert table.runs == ["seed=0", "seed=1"]
    assert table.classes_of("seed=0") == ["3"]


def test_the_command_sweeps_the_seed_and_lets_others_follow_it(expansion, tmp_path):
    text = "seeds: [0, 1]\nrows: [{label: A, run: 'teacher.seed={seed} seed={seed} evaluate.bias={3:3.5}'}]"
    (row,) = read(expansion, tmp_path, text).rows
    assert row.command == "distill run -m seed=0,1 'teacher.seed=${seed}' 'evaluate.bias={3:3.5}'"
    assert row.of_seeds([1]).command == "distill run teacher.seed=1 seed=1 'evaluate.bias={3:3.5}'"


def test_words_of_a_row_win_over_those_of_its_section_and_of_the_table(expansion, tmp_path):
    text = "common: loss=kd seed=0\nsections: [{title: S, run: loss=dkd alpha=1, rows: [{label: A, run: alpha=0}]}]"
    (row,) = read(expansion, tmp_path, text).rows
    assert row.words == ("loss=dkd", "seed=0", "alpha=0")


def test_sections_without_rows_have_those_of_the_table(expansion, tmp_path):
    text = (
        "sections: [{title: one, run: student=mlp}, {title: two, run: student=cnn}]\n"
        "rows:\n"
        "  - {label: KD, published: [70, null]}\n"
        "  - {label: DKD, run: loss=dkd, published: [1, 2], in: {two: {run: loss.beta=2, note: why}}}\n"
    )
    table = read(expansion, tmp_path, text)
    found = {(s.title, r.label): r for s in table.sections for r in s.rows}
    assert found["one", "KD"].published.text == "70" and found["two", "KD"].published is None
    assert found["one", "DKD"].words == ("student=mlp", "loss=dkd")
    assert found["two", "DKD"].words == ("student=cnn", "loss=dkd", "loss.beta=2")
    assert found["two", "DKD"].notes == ("why",) and not found["one", "DKD"].notes


def test_each_value_makes_a_row_with_the_value_in_its_texts(expansion, tmp_path):
    text = 'rows: [{label: "T = {T}", at: "{T}", run: "temperature={T}", each: {T: [1, 2.5]}, published: {2.5: 3}}]'
    one, two = read(expansion, tmp_path, text).rows
    assert (one.label, one.at, one.words, one.published) == ("T = 1", "1", ("temperature=1",), None)
    assert (two.label, two.words, two.published.text) == ("T = 2.5", ("temperature=2.5",), "3")


def test_runs_come_in_the_turn_of_their_rows(expansion, tmp_path):
    text = (
        "sections: [{title: x, run: a=1}, {title: y, run: a=2, turn: 1}]\n"
        "rows: [{label: A}, {label: B, run: b=1, turn: 2}]"
    )
    assert read(expansion, tmp_path, text).runs == ["a=1", "a=2", "a=1 b=1", "a=2 b=1"]


def test_a_page_may_show_several_tables(expansion, tmp_path):
    read(expansion, tmp_path, "rows: [{label: A}]", "one")
    read(expansion, tmp_path, "rows: [{label: B}]", "two")
    described(tmp_path, "title: Both\nabout: Text.\ntables: [one, two]", "both")
    for name in ("one", "two", "both"):
        page = expansion.page_with(tmp_path, name)
        assert (page.name, [table.name for table in page.tables]) == ("both", ["one", "two"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rows: [{lable: A}]", "there is no `lable`; did you mean `label`?"),
        ("rows: [{run: a=1}]", "`label` is missing"),
        ("rows: [{label: A, of: techer}]", "row A: of: techer must be one of teacher, student, baseline"),
        ("rows: [{label: A, measure: accuracy}]", "row A: measure: accuracy must be errors, error, top1 or"),
        ("rows: [{label: A, published: many}]", "row A: published: many is no figure"),
        ("rows: [{label: A, published: 3, best_epoch: true}]", "say in the table's `best_epoch`"),
        (
            "sections: [{title: x}, {title: y}]\nrows: [{label: A, published: [3]}]",
            "wants a list with a figure",
        ),
        ("rows: [{label: A}", "tiny.yaml: while parsing"),
    ],
    ids=["field", "label", "model", "measure", "published", "best epoch", "list", "yaml"],
)
def test_a_mistake_in_a_description_is_one_line_that_says_where(expansion, tmp_path, text, complaint):
    with pytest.raises(ConfigError) as caught:
        read(expansion, tmp_path, text)
    assert complaint in str(caught.value) and "\n" not in str(caught.value)


ROWS = "rows: [{label: A}]\n"
WRONG = {
    "seeds": ("seeds: 3\n" + ROWS, "seeds: 3 must be a list of whole numbers"),
    "seed": ("seeds: [a]\n" + ROWS, "seeds: ['a'] must be a list of whole numbers"),
    "seeds without a place": (
        "seeds: [0, 1]\nrows: [{label: A}]",
        "no word has a place for them: seed={seed}",
    ),
    "rows": ("rows:", "rows: None must be a list of rows"),
    "no rows": ("common: alpha=0", "`rows` is missing"),
    "row": ("rows: [A]", "rows: ['A'] must be a list of rows"),
    "chart's field": (ROWS + "chart: {y: 1}", "chart: there is no `y`"),
    "chart's axis": (ROWS + "chart: {x: 1}", "chart: x: 1 must be a text"),
    "chart": (ROWS + "chart: temperature", "chart: temperature must be a mapping"),
    "each of two": ("rows: [{label: A, each: {T: [1], K: [2]}}]", "must be one name with a list of values"),
    "each of none": ("rows: [{label: A, each: T}]", "row A: each: T must be one name with"),
    "note": ("rows: [{label: A, note: 5}]", "row A: note: 5 must be a text"),
    "label's type": ("rows: [{label: 5}]", "label: 5 must be a text"),
    "run": ("rows: [{label: A, run: 5}]", "row A: run: 5 must be words"),
    "quote": ('rows: [{label: A, run: "a\'b"}]', "row A: run: a'b must be words as one types them"),
    "about": (ROWS + "about: 5", "about: 5 must be a text"),
    "title": (ROWS + "title: ''", "title:  must be a text"),
    "turn": ("rows: [{label: A, turn: a}]", "row A: turn: a must be a whole number"),
    "published nothing": ("rows: [{label: A, published: []}]", "published: [] is no figure, and no range"),
    "reversed": ("rows: [{label: A, published: [3, 2]}]", "published: [3, 2] is no figure, and no range"),
    "three ends": ("rows: [{label: A, published: [1, 2, 3]}]", "[1, 2, 3] is no figure, and no range"),
    "nan": ("rows: [{label: A, published: nan}]", "published: nan is no figure"),
    "best epoch's": (ROWS + "best_epoch: x", "best_epoch: x must be a number"),
    "layout": (ROWS + "layout: grid", "layout: grid must be matrix"),
    "section": (
        "sections: [{title: x}]\nrows: [{label: A, in: {y: {note: B}}}]",
        "in: there is no section y",
    ),
    "too many": (
        "sections: [{title: x}, {title: y}]\nrows: [{label: A, published: [1, 2, 3]}]",
        "wants a list with a figure",
    ),
    "twice": ("rows: [{label: A}, {label: A, run: a=1}]", "two rows are called A"),
    "no baseline": ("baseline: false\nrows: [{label: A, of: baseline}]", "but a row is of a baseline"),
}


@pytest.mark.parametrize(("text", "complaint"), WRONG.values(), ids=WRONG.keys())
def test_a_field_of_the_wrong_kind_is_one_line(expansion, tmp_path, text, complaint):
    with pytest.raises(ConfigError) as caught:
        read(expansion, tmp_path, text)
    assert complaint in str(caught.value) and "\n" not in str(caught.value)


def test_a_description_that_is_no_text_is_one_line(expansion, tmp_path):
    (tmp_path / "tiny.yaml").write_bytes(b"title: \xff")
    with pytest.raises(ConfigError, match=r"tiny\.yaml: 'utf-8' codec can't decode"):
        expansion.page_with(tmp_path, "tiny")


def test_a_wrong_description_is_nobodys_matter_but_its_own(expansion, tmp_path):
    read(expansion, tmp_path, "rows: [{label: A}]", "one")
    described(tmp_path, "tables: [", "broken")
    assert expansion.page_with(tmp_path, "one").title == "Tiny"


def test_a_table_is_named_not_reached_by_a_path(expansion, tmp_path):
    described(tmp_path, HEAD + "rows: [{label: A}]", "x")
    (tmp_path / "tables").mkdir()
    with pytest.raises(ConfigError, match=r"there is no table \.\./x"):
        expansion.page_with(tmp_path / "tables", "../x")


def test_an_unknown_table_is_answered_with_the_nearest(expansion):
    with pytest.raises(ConfigError, match="there is no table mnist_hintn; did you mean mnist_hinton"):
        expansion.page_with(DESCRIPTIONS, "mnist_hintn")


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_the_tables_have_names_of_their_own(expansion, name):
    for table in expansion.read_page(DESCRIPTIONS, name).tables:
        names = [(section.title, row.label) for section in table.sections for row in section.rows]
        assert names and len(names) == len({*names})


@pytest.mark.parametrize("name", [name for name in NAMES if name != "views"])
def test_what_the_tables_run_composes(expansion, name):
    """Each word in the first row that has it: in all others it means the same."""
    known: set[str] = set()
    with composing_once(), user_config(None), config_loader() as loader:
        for row in expansion.read_table(DESCRIPTIONS, name).rows:
            fresh = [word for word in row.words if word not in known]
            known.update(fresh)
            if fresh:
                words = shlex.split(row.of_seeds([0]).runs[0])
                loader.load_configuration("config", [as_hydra(combined(w)) for w in words], RunMode.RUN)
