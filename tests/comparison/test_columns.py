"""Which students are one setting, and what the columns say about the settings that differ."""

from pathlib import Path

import pytest
import yaml
from shelf import KD, MODELS, SGD, SHIFT, constant

from distill_cli.comparison.names import OF_STUDENT, typed, word_of
from distill_cli.comparison.text import cells, headings

CONF = Path(__file__).parents[2] / "conf"


def columns(table) -> dict[str, list[str]]:
    """Of the settings only, row by row."""
    return {column.name: [column.cell(row.facts) for row in table.rows] for column in table.columns}


def test_students_that_differ_in_their_seed_alone_are_one_row(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    table = compared(*(shelf.student((0.9, 0.9), labels, seed=seed) for seed in (3, 1, 2)))
    (row,) = table.rows
    assert row.n == 3 and [student.seed for student in row.students] == [1, 2, 3] and not table.columns


def test_a_student_named_twice_counts_once(shelf, compared):
    place = shelf.student((0.9, 0.9))
    assert [row.n for row in compared(place, place).rows] == [1]


def test_columns_are_what_differs_under_the_names_a_user_types(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    recipe = {"epochs": 20, "clip_norm": 1.0, "optimizer": {**SGD, "lr": 0.1}}
    table = compared(
        shelf.student((0.92, 0.9), labels, temperature=2, alpha=0.5),
        shelf.student((0.91, 0.9), labels, views={**SHIFT, "pixels": 2, "count": 4}),
        shelf.student((0.90, 0.9), labels, recipe=recipe),
    )
    assert columns(table) == {
        "student.clip_norm": ["null", "null", "1"],
        "student.epochs": ["10", "10", "20"],
        "student.optimizer.lr": ["0.05", "0.05", "0.1"],
        "temperature": ["2", "4", "4"],
        "alpha": ["0.5", "0.9", "0.9"],
        "views.count": ["8", "4", "8"],
        "views.pixels": ["1", "2", "1"],
    }


def test_an_argument_is_no_column_where_the_choice_it_belongs_to_says_it_all(shelf, compared):
    adam = {"epochs": 10, "clip_norm": None, "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001}}
    table = compared(shelf.student((0.92, 0.9)), shelf.student((0.9, 0.9), recipe=adam))
    assert columns(table) == {"student.optimizer": ["sgd", "adam"]}


def test_schedules_and_losses_are_words_with_what_differs(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    linear = {"_target_": "distill_cli.schedules.Linear", "start": 4.0, "end": 1.0}
    taught = {"source": "cached", "soft_labels": labels.key, "loss": KD, "alpha": constant(0.9)}
    mse = {"_target_": "distill_cli.losses.logit_mse.LogitMse"}
    students = [
        shelf.student((0.94, 0.9), distillation={**taught, "temperature": linear}),
        shelf.student((0.93, 0.9), distillation={**taught, "temperature": constant(4.0)}),
        shelf.student(
            (0.92, 0.9),
            distillation={**taught, "temperature": constant(4.0), "loss": {**mse, "mean_free": True}},
        ),
        shelf.student(
            (0.91, 0.9),
            distillation={**taught, "temperature": constant(4.0), "loss": {**mse, "mean_free": False}},
        ),
    ]
    assert columns(compared(*students)) == {
        "loss": ["kd", "kd", "logit_mse (mean_free=true)", "logit_mse (mean_free=false)"],
        "temperature_schedule": ["linear", "constant", "constant", "constant"],
    }


def test_a_baseline_has_neither_temperature_nor_alpha(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    table = compared(shelf.student((0.9, 0.9), labels), shelf.student((0.8, 0.8)))
    assert columns(table) == {"temperature": ["4", "–"], "alpha": ["0.9", "–"]}


def test_models_go_by_their_names_and_by_what_differs_where_a_name_is_shared(shelf, compared, monkeypatch):
    places = [shelf.student((0.93, 0.9), model="cnn_tiny"), shelf.student((0.92, 0.9), model="mlp_24")]
    assert columns(compared(*places))["student"] == ["cnn_tiny", "mlp_24"]
    wide = {"_target_": "distill_cli.models.mlp.Mlp", "width": 48}
    monkeypatch.setitem(MODELS, "mlp_24", (wide, 3_600))
    places.append(shelf.student((0.91, 0.9), model="mlp_24"))
    assert columns(compared(*places))["student"] == ["cnn_tiny", "mlp_24 (width=24)", "mlp_24 (width=48)"]


def test_keys_are_followed_to_the_labels_and_to_the_teacher(shelf, compared):
    small = shelf.labels(shelf.teacher(model="cnn_tiny"))
    large = shelf.labels(shelf.teacher(model="cnn_digits"))
    exact = shelf.labels(shelf.teacher(model="cnn_digits"), dtype="float32")
    places = [shelf.student((0.9 + n / 100, 0.9), labels) for n, labels in enumerate((small, large, exact))]
    assert columns(compared(*places)) == {
        "soft_labels": ["float32", "float16", "float16"],
        "teacher": ["cnn_digits", "cnn_digits", "cnn_tiny"],
    }


def test_a_sweep_over_the_teachers_recipe_shows_it(shelf, compared):
    long, short = (shelf.labels(shelf.teacher(epochs=e, seed=s)) for e, s in ((20, 1), (10, 0)))
    table = compared(shelf.student((0.92, 0.9), long), shelf.student((0.9, 0.9), short))
    assert columns(table) == {"teacher.epochs": ["20", "10"], "teacher.seed": ["1", "0"]}


def test_where_labels_or_teacher_are_gone_the_first_digits_of_their_keys_stand(shelf, compared):
    teacher = shelf.teacher()
    labels = shelf.labels(teacher)
    gone = [labels.key.replace(labels.key[0], "f"), "e" * 64]
    taught = {"source": "cached", "loss": KD, "temperature": constant(4.0), "alpha": constant(0.9)}
    places = [
        shelf.student((0.92, 0.9), distillation={**taught, "soft_labels": gone[0]}),
        shelf.student((0.91, 0.9), distillation={**taught, "source": "online", "teacher": gone[1]}),
        shelf.student((0.90, 0.9), distillation={**taught, "source": "online", "teacher": teacher.key}),
    ]
    found = columns(compared(*places))
    assert found["teacher"] == ["–", "e" * 12, "cnn_digits"]
    assert found["teacher_source"] == ["cached", "online", "online"]


def test_more_training_data_is_another_setting_of_the_same_test(shelf, compared):
    table = compared(
        shelf.student((0.92, 0.9)), shelf.student((0.91, 0.9), data=shelf.parts(train="more", labels="more"))
    )
    assert list(columns(table)) == ["data"] and len(set(columns(table)["data"])) == 2


def test_names_follow_the_longest_path_that_is_known():
    assert typed("distillation.temperature.start", OF_STUDENT) == "temperature"
    assert typed("distillation.temperature.end", OF_STUDENT) == "temperature_schedule.end"
    assert typed("recipe.optimizer.lr", OF_STUDENT) == "student.optimizer.lr"
    assert typed("precision", OF_STUDENT) == "precision"


GROUPS = (
    *("views", "mixing", "soft_labels", "lr_schedule", "optimizer"),
    *("loss", "temperature_schedule", "teacher_filter"),
)


@pytest.mark.parametrize(
    "path", [path for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))], ids=lambda p: p.stem
)
def test_the_word_of_a_spec_is_the_name_of_its_yaml(path):
    assert word_of(yaml.safe_load(path.read_text()) or {}) == path.stem


def test_every_row_has_a_cell_under_every_heading(shelf, compared):
    table = compared(*shelf.grid())
    assert {len(cells(table, row)) for row in table.all_rows} == {len(headings(table))}


def test_a_limit_on_weights_has_a_column_where_one_student_has_it(shelf, compared):
    recipe, labels = {"epochs": 10, "optimizer": SGD}, shelf.labels(shelf.teacher())
    table = compared(
        shelf.student((0.92, 0.9), labels, recipe=recipe),
        shelf.student((0.91, 0.9), labels, recipe={**recipe, "max_norm": 3.0}),
    )
    (column,) = table.columns
    assert column.name == "student.max_norm"
    assert [column.cell(row.facts) for row in table.rows] == ["null", "3"]
