"""What ranks and what does not, and the figures of a row."""

import numpy as np
import pytest

from distill_cli.comparison import load_students, tabulate
from distill_cli.comparison.figures import Figure
from distill_cli.errors import ArtifactError, ConfigError


def test_a_figure_has_the_mean_and_the_sample_standard_deviation():
    values = [0.91, 0.934, 0.89, 0.9]
    figure = Figure.of(values)
    assert figure.mean == pytest.approx(np.mean(values), rel=1e-15)
    assert figure.std == pytest.approx(np.std(values, ddof=1), rel=1e-12) and figure.n == 4


def test_one_value_has_no_spread_and_none_has_no_figure():
    assert Figure.of([0.5, None]) == Figure(0.5, None, 1)
    assert Figure.of([None]) is None


def test_settings_are_ranked_by_mean_validation_and_never_by_test(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    table = compared(
        shelf.student((0.90, 0.99), labels, temperature=1),
        shelf.student((0.92, 0.50), labels, temperature=2),
        shelf.student((0.99, 0.98), labels, temperature=4, seed=0),
        shelf.student((0.83, 0.98), labels, temperature=4, seed=1),
    )
    found = [(row.rank, row.facts["temperature"].value, round(row.validation.mean, 4)) for row in table.rows]
    assert found == [(1, 2.0, 0.92), (2, 4.0, 0.91), (3, 1.0, 0.90)]
    assert "Ranked by mean validation accuracy" in table.notes[0]


def test_ties_go_to_the_smaller_model_and_then_to_the_name(shelf, compared):
    table = compared(
        shelf.student((0.9, 0.9), model="cnn_tiny"),
        shelf.student((0.9, 0.9), model="mlp_24"),
        shelf.student((0.9, 0.9), model="mlp_8"),
        shelf.student((0.9, 0.9), shelf.labels(shelf.teacher()), model="mlp_8", temperature=2),
    )
    assert [row.model for row in table.rows] == ["mlp_8", "mlp_8", "mlp_24", "cnn_tiny"]
    assert [row.role for row in table.rows[:2]] == ["baseline", "student"]  # …-alone before …-t2


def test_rounding_breaks_no_tie(shelf, compared):
    big = [shelf.student((v, 0.9), model="cnn_tiny", seed=s) for s, v in enumerate((0.1 + 0.2, 0.3, 0.3))]
    small = [shelf.student((0.3, 0.9), model="mlp_8", seed=s) for s in range(3)]
    assert [row.model for row in compared(*big, *small).rows] == ["mlp_8", "cnn_tiny"]


def test_without_a_validation_part_nothing_is_ranked(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    table = compared(*(shelf.student((None, 0.9 - t / 100), labels, temperature=t) for t in (20, 1, 4)))
    assert [(row.rank, row.facts["temperature"].value) for row in table.rows] == [
        (None, 1),
        (None, 4),
        (None, 20),
    ]
    assert not table.is_ranked and "there is no validation part" in table.notes[0]


def test_students_validated_on_different_parts_are_not_ranked(shelf, compared):
    table = compared(
        shelf.student((0.9, 0.9)), shelf.student((0.8, 0.9), data=shelf.parts(train="t", validation="v"))
    )
    assert not table.is_ranked and "different parts" in table.notes[0]


def test_students_of_different_data_sets_are_refused(shelf, tmp_path):
    other = type(shelf)(tmp_path / "elsewhere", data="mnist")
    places = [shelf.student((0.9, 0.9)), other.student((0.9, 0.9))]
    named = r"digits \(.*\), mnist \(.*\); name those of one: '.*/students/\*-digits-\*'$"
    with pytest.raises(ConfigError, match=f"of different data sets cannot .*: {named}"):
        tabulate(load_students([place.directory for place in places]))


def test_students_with_different_test_parts_are_refused(shelf, compared):
    with pytest.raises(ConfigError, match="different test parts cannot be ranked together"):
        compared(shelf.student((0.9, 0.9)), shelf.student((0.9, 0.9), data=shelf.parts(test="other")))


def test_a_student_without_figures_is_left_out_with_a_line(shelf, compared, capsys):
    good, empty = shelf.student((0.9, 0.9)), shelf.student((None, None), seed=1)
    assert [row.name for row in compared(good, empty).rows] == [good.name]
    assert f"left out: {empty.name} has no figures" in capsys.readouterr().err
    with pytest.raises(ArtifactError, match="nothing to compare"):
        compared(empty)


def test_teachers_are_ranked_like_students_and_folded_over_their_seeds(shelf, compared):
    teachers = [
        shelf.teacher((0.9 + s / 100 + e / 1000, 0.9), seed=s, epochs=e) for e in (10, 20) for s in (0, 1)
    ]
    table = compared(*teachers)
    assert [(row.rank, row.n, row.facts["teacher.epochs"].value) for row in table.rows] == [
        (1, 2, 20),
        (2, 2, 10),
    ]
    assert [column.name for column in table.columns] == ["teacher.epochs"] and not table.references


def test_an_unknown_loss_of_the_users_is_called_after_its_module(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    own = shelf.student((0.9, 0.9), labels)
    mine = {"_target_": "my.losses.cosine.LogitCosine"}
    other = shelf.student((0.8, 0.8), distillation={**own.identity["distillation"], "loss": mine})
    (column,) = compared(own, other).columns
    assert column.name == "loss"
    assert [column.cell(row.facts) for row in compared(own, other).rows] == ["kd", "cosine"]
