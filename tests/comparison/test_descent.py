"""Students of several teachers, of other students, of peers and of nobody: what the columns and references say."""

import pytest
from shelf import KD, MODELS

from distill_cli.comparison import load_students
from distill_cli.comparison.names import word_of
from distill_cli.comparison.notes import baseline_command
from distill_cli.comparison.sources import Search
from distill_cli.comparison.text import cells, headings

AVERAGE = {"average": "logits", "weights": [0.5, 0.5]}
DIST = {"_target_": "distill_cli.losses.dist.Dist", "weight": 1.0}
DROP = {
    "_target_": "distill_cli.training.teacher_filter.TeacherFilter",
    "weight": 0.0,
    "least_confidence": 0.0,
}
GONE = "A teacher is gone, or lies elsewhere: --artifacts DIR says where."


def columns(table) -> dict[str, list[str]]:
    return {column.name: [column.cell(row.facts) for row in table.rows] for column in table.columns}


def references(table) -> list[tuple[str, str]]:
    return [(row.role, row.model) for row in table.references]


@pytest.fixture
def two(shelf):
    """Soft labels of two teachers."""
    return [shelf.labels(shelf.teacher(model=model)) for model in ("cnn_digits", "cnn_tiny")]


def test_several_teachers_have_one_cell_and_a_row_each(shelf, compared, two):
    shelf.student((0.8, 0.8))
    table = compared(shelf.student((0.92, 0.9), two, more=AVERAGE), shelf.student((0.91, 0.9), two[0]))
    assert columns(table) == {"teacher": ["cnn_digits+cnn_tiny", "cnn_digits"]}
    assert references(table) == [("baseline", "mlp_24"), ("teacher", "cnn_digits"), ("teacher", "cnn_tiny")]
    assert GONE not in table.notes


def test_how_teachers_are_averaged_is_named_as_it_is_typed(shelf, compared, two):
    weighted = {"average": "probabilities", "weights": [2 / 3, 1 / 3]}
    table = compared(
        shelf.student((0.92, 0.9), two, more=AVERAGE), shelf.student((0.91, 0.9), two, more=weighted)
    )
    assert columns(table) == {
        "teacher.average": ["logits", "probabilities"],
        "teacher.weights": ["[0.5,0.5]", "[0.666667,0.333333]"],
    }


def test_the_gap_to_several_teachers_is_that_of_the_report(shelf, compared, two):
    baseline = shelf.student((0.8, 0.80))
    student = shelf.student((0.9, 0.84), two, more=AVERAGE)
    assert compared(student).rows[0].gap_closed is None
    shelf.evaluation(student, baseline, teacher={"top1": 0.90, "validation_top1": 0.93}, top1=0.84)
    (row,) = compared(student).rows
    assert row.gap_closed == pytest.approx(0.4) and row.of_teacher("validation") == 0.93


def test_one_of_several_that_is_gone_is_said(shelf, compared, two):
    student = shelf.student((0.9, 0.9), two, more=AVERAGE)
    for file in two[1].directory.iterdir():
        file.unlink()
    table = compared(student)
    assert GONE in table.notes and ("teacher", "cnn_digits") in references(table)


def handed_on(shelf, *models, seed=0):
    """A chain of students, one a model; the last of them."""
    labels = shelf.labels(shelf.teacher())
    for number, model in enumerate(models, 1):
        times = models[: number - 1].count(model)
        student = shelf.student((0.9, 0.9), labels, model=model, seed=seed + times)
        labels = shelf.labels(student)
    return student


def test_a_student_between_is_an_assistant_and_one_of_the_same_model_a_generation(shelf, compared):
    chains = (
        ("mlp_24",),
        ("cnn_tiny", "mlp_24"),
        ("mlp_24", "mlp_24", "mlp_24"),
        ("cnn_tiny", "mlp_8", "mlp_24", "mlp_24"),
    )
    table = compared(*(handed_on(shelf, *models) for models in chains))
    found = columns(table)
    assert list(found) == ["assistant", "generations"]
    assert sorted(zip(found["assistant"], found["generations"], strict=True)) == [
        ("cnn_tiny", "1"),
        ("cnn_tiny+mlp_8", "2"),
        ("none", "1"),
        ("none", "3"),
    ]
    assert ("teacher", "cnn_digits") in references(table) and GONE not in table.notes


def test_the_gap_of_a_chain_is_that_to_its_first_teacher(shelf, compared):
    shelf.student((0.8, 0.85))
    (row,) = compared(handed_on(shelf, "cnn_tiny", "mlp_24")).rows
    assert row.gap_closed == pytest.approx((0.90 - 0.85) / (0.95 - 0.85))


@pytest.mark.parametrize(
    "models", [("cnn_tiny", "mlp_24"), ("mlp_24", "mlp_24")], ids=["assistant", "generations"]
)
def test_chains_that_differ_in_their_seeds_alone_are_one_row(shelf, compared, models):
    table = compared(*(handed_on(shelf, *models, seed=seed) for seed in (0, 10, 20)))
    assert [row.n for row in table.rows] == [3] and not table.columns


def test_chains_of_other_teachers_or_assistants_are_not_one_row(shelf, compared):
    first = handed_on(shelf, "cnn_tiny", "mlp_24")
    other = shelf.student(
        (0.9, 0.9), shelf.labels(shelf.student((0.9, 0.9), shelf.labels(shelf.teacher(epochs=9))))
    )
    assert len(compared(first, other).rows) == 2


def test_where_a_student_between_is_gone_its_key_is_left(shelf, compared):
    student = handed_on(shelf, "cnn_tiny", "mlp_24")
    (assistant,) = shelf.root.glob("students/cnn_tiny-*")
    (assistant / "artifact.json").unlink()
    table = compared(student, shelf.student((0.8, 0.8), shelf.labels(shelf.teacher())))
    assert columns(table)["teacher"] == [assistant.name[-12:], "cnn_digits"] and GONE in table.notes


def test_a_sum_of_losses_is_called_after_them_in_whatever_order_they_stand(shelf, compared, two):
    loss = {"loss": {"terms": {"kd": KD, "dist": DIST}, "hard_weight": None}}
    table = compared(shelf.student((0.92, 0.9), two[0], more=loss), shelf.student((0.91, 0.9), two[0]))
    assert columns(table) == {"loss": ["dist+kd", "kd"]}
    assert word_of(loss["loss"]) == "dist+kd"


def test_sums_with_other_weights_say_which(shelf, compared, two):
    sums = [{"loss": {"terms": {"dist": {**DIST, "weight": weight}, "kd": KD}}} for weight in (1.0, 2.0)]
    table = compared(*(shelf.student((0.9 - i / 100, 0.9), two[0], more=more) for i, more in enumerate(sums)))
    assert columns(table) == {"loss": ["dist+kd (terms.dist.weight=1)", "dist+kd (terms.dist.weight=2)"]}


def test_a_filter_is_named_and_so_is_its_absence(shelf, compared, two):
    table = compared(
        shelf.student((0.92, 0.9), two[0], more={"filter": DROP}),
        shelf.student((0.91, 0.9), two[0], more={"filter": {**DROP, "weight": 0.5}}),
        shelf.student((0.90, 0.9), two[0]),
    )
    assert columns(table) == {"teacher_filter": ["drop", "downweight", "none"]}


def test_students_of_peers_and_of_nobody_have_no_teacher_and_lack_none(shelf, compared, two):
    def taught(**more):
        return {"source": "none", "loss": KD, "temperature": None, **more}

    free = {"_target_": "distill_cli.losses.teacher_free.TeacherFree"}
    table = compared(
        shelf.student((0.93, 0.9), two[0]),
        shelf.student((0.92, 0.9), distillation=taught(source="peers", peers=[MODELS["cnn_tiny"][0]])),
        shelf.student((0.91, 0.9), distillation=taught(loss=free)),
    )
    found = columns(table)
    assert found["loss"] == ["kd", "kd", "tf_kd"] and found["peers"] == ["none", "cnn", "none"]
    assert "teacher_source" not in found and GONE not in table.notes
    assert {len(cells(table, row)) for row in table.all_rows} == {len(headings(table))}


def test_the_baseline_of_an_assistant_is_made_with_its_own_model(shelf):
    words = (
        "distill run assistant=cnn_tiny generations=2 peers=mlp teacher_filter=drop student=mlp_8 data=mnist"
    )
    place = shelf.student((0.9, 0.9), shelf.labels(shelf.teacher()), model="cnn_tiny", command=words)
    command = baseline_command(load_students([place.directory]))
    assert command == "distill distill alpha=0 seed=0 student=cnn_tiny data=mnist"


def test_a_result_of_several_teachers_names_all_of_them(shelf, tmp_path):
    teachers = [shelf.teacher(model=model) for model in ("cnn_digits", "cnn_tiny")]
    members = [shelf.result(tmp_path / str(n), one, "train-teacher") for n, one in enumerate(teachers)]
    document = {**members[0], "key": "0" * 64, "artifact": None, "members": members}
    found = Search(shelf.root).of_result(document, "a job")
    assert [one.key for one in found] == [one.key for one in teachers]
