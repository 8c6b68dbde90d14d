"""Students of several transfer sets side by side: all of train is one of them, though no identity says so."""

TRANSFER = {"classes": None, "without": None, "fraction": 1.0}


def columns(table) -> dict[str, list[str]]:
    return {column.name: [column.cell(row.facts) for row in table.rows] for column in table.columns}


def test_what_was_left_out_has_a_column_beside_students_of_everything(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    table = compared(
        shelf.student((0.92, 0.9), labels),
        shelf.student((0.91, 0.9), labels, transfer={**TRANSFER, "without": ["3"]}),
        shelf.student((0.90, 0.9), labels, transfer={**TRANSFER, "fraction": 0.03}),
    )
    assert columns(table) == {
        "transfer.fraction": ["1", "1", "0.03"],
        "transfer.without": ["none", "[3]", "none"],
    }


def test_one_transfer_set_is_no_column(shelf, compared):
    few = {**TRANSFER, "classes": ["7", "8"]}
    labels = shelf.labels(shelf.teacher())
    assert "transfer.classes" not in columns(
        compared(*(shelf.student((0.9, 0.9), labels, temperature=t, transfer=few) for t in (2, 4)))
    )


def test_no_class_at_all_is_not_all_classes(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    table = compared(
        shelf.student((0.92, 0.9), labels),
        shelf.student((0.91, 0.9), labels, transfer={**TRANSFER, "classes": []}),
    )
    assert columns(table) == {"transfer.classes": ["all", "none"]}
