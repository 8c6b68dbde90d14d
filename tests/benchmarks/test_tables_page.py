"""Pages of tables: what they say of recorded runs; and those in docs/results are what their results give."""

import re
from html import unescape
from math import sqrt
from xml.etree import ElementTree

import pytest
from table_parts import DESCRIPTIONS, PAGES, a_run, described, table_modules

TEXT = """
title: A table
about: What is published, and where it stands.
measure: {measure}
seeds: [0, 1, 2]
published_runs: {runs}
best_epoch: 0.5
rows: [{{label: A row, run: "seed={{seed}}", {row}}}]
"""
MATRIX = """
title: A matrix
about: What is published.
measure: top1
seeds: [0]
layout: matrix
sections: [{title: one, run: student=mlp}, {title: two, run: student=cnn}]
rows:
  - {label: KD, published: [70, 75]}
  - {label: DKD, run: loss=dkd, published: [null, 79], note: A weight.}
"""
VIEWS = """
title: Views
about: How many are enough.
measure: top1
seeds: [0, 1]
chart: {x: stored views, disk: true}
rows: [{label: "K = {K}", run: "views.count={K} seed={seed}", at: "{K}", each: {K: [1, 2, 4]}}]
"""


@pytest.fixture(scope="module")
def modules():
    with table_modules() as found:
        yield found


@pytest.fixture
def page_of(modules, tmp_path):
    """The page of a description and of what is recorded, and the one table on it."""

    def make(text, runs, failed=None):
        page = modules.expansion.read_page(described(tmp_path, text), "tiny")
        results = modules.records.Results(tmp_path / "tiny.json", runs, failed or {})
        return modules.page.markdown(page, {"tiny": results}), page.tables[0], results

    return make


def outcome(modules, page_of, row, tops, measure="top1", runs=4):
    """Of students with these accuracies."""
    recorded = {f"seed={seed}": a_run(str(seed), student=top1) for seed, top1 in enumerate(tops)}
    text = TEXT.format(measure=measure, runs=runs, row=row)
    _, table, results = page_of(text, recorded)
    return modules.outcome.Outcome.of(table.rows[0], table, results)


def test_noise_is_two_standard_errors_of_the_difference(modules, page_of):
    one = outcome(modules, page_of, "published: 70", [0.70, 0.71, 0.72])
    assert one.figure.mean == pytest.approx(71) and one.figure.std == pytest.approx(1)
    assert one.difference == pytest.approx(1)
    assert one.noise == pytest.approx(2 * sqrt(1 / 3 + 1 / 4))


@pytest.mark.parametrize(
    ("row", "tops", "measure", "verdict"),
    [
        ("published: 70", [0.70, 0.71, 0.72], "top1", ""),  # noise is 1.53
        ("published: 69", [0.70, 0.71, 0.72], "top1", "better"),
        ("published: 73", [0.70, 0.71, 0.72], "top1", "worse"),
        ("published: 73, best_epoch: true", [0.70, 0.71, 0.72], "top1", ""),
        ("published: 73.1, best_epoch: true", [0.70, 0.71, 0.72], "top1", "worse"),
        ("published: 269", [0.70, 0.71, 0.72], "errors", "worse"),
        ("published: 31", [0.70, 0.71, 0.72], "error", "better"),
        ("published: [60, 80]", [0.70, 0.71, 0.72], "top1", ""),
        ("published: [60, 65]", [0.70, 0.71, 0.72], "top1", "better"),
        ("published: 10", [0.70], "top1", ""),  # of a single model nobody knows
        ("published: 10, compare: false", [0.70, 0.71, 0.72], "top1", ""),
    ],
)
def test_a_difference_is_marked_where_it_is_more_than_its_noise(
    modules, page_of, row, tops, measure, verdict
):
    assert outcome(modules, page_of, row, tops, measure).verdict == verdict


def test_a_teacher_that_all_seeds_share_is_one(modules, page_of):
    one = outcome(modules, page_of, "of: teacher", [0.7, 0.8, 0.9])
    assert (one.figure.n, one.figure.std, one.seconds) == (1, None, 100.0)


def test_the_student_before_its_bias_and_the_recall_of_a_class_are_shown(modules, page_of):
    run = a_run("0")
    run["figures"]["student"] |= {"top1_uncorrected": 0.5, "recall": {"3": 0.986}}
    for row, value in (("of: uncorrected", 500), ("measure: recall of 3", 98.6), ("of: student", 200)):
        _, table, results = page_of(TEXT.format(measure="errors", runs=1, row=row), {"seed=0": run})
        assert modules.outcome.Outcome.of(table.rows[0], table, results).figure.mean == pytest.approx(value)


def test_a_page_says_what_is_missing_what_failed_and_what_was_found(page_of):
    text = TEXT.format(measure="errors", runs=1, row="published: 100, found: The recipe is not said.")
    page, *_ = page_of(
        text, {"seed=0": a_run("0"), "seed=1": a_run("1", student=0.81)}, {"seed=2": "no disk"}
    )
    assert "**1 of 3 runs are missing**" in page
    assert "| A row | 195.0 ± 7.1 | 2 of 3 | 100 | **+95.0, worse** | 2m00s | 1, 2 |" in page
    assert "1. The recipe is not said.\n2. Failed: no disk\n" in page
    assert "distill run -m seed=0,1,2\n" in page and "not explained" not in page


def test_a_row_nobody_has_run_is_not_a_figure(page_of):
    page, *_ = page_of(TEXT.format(measure="errors", runs=1, row="published: 100"), {})
    assert "| A row | not run | – | 100 |" in page and "## Computing" not in page


def test_a_figure_that_is_worse_and_not_explained_is_named(page_of):
    runs = {f"seed={seed}": a_run(str(seed)) for seed in range(3)}
    page, *_ = page_of(TEXT.format(measure="errors", runs=1, row="published: 100"), runs)
    assert "Worse than published and not explained yet: A row." in page


def test_a_general_note_explains_no_figure(page_of):
    runs = {f"seed={seed}": a_run(str(seed)) for seed in range(3)}
    for said, is_explained in (("note: A weight.", False), ("found: The recipe is not said.", True)):
        page, *_ = page_of(TEXT.format(measure="errors", runs=1, row=f"published: 100, {said}"), runs)
        assert ("not explained yet: A row." in page) != is_explained


def test_columns_of_a_matrix_are_its_sections(page_of):
    runs = {"student=mlp": a_run("a", student=0.711), "student=cnn loss=dkd": a_run("b", student=0.8)}
    page, *_ = page_of(MATRIX, runs)
    assert "| | one | two |" in page
    assert "| KD | 71.10<br>*70* +1.10 | not run<br>*75* |" in page
    assert "| DKD | not run<sup>1</sup> | 80.00<sup>1</sup><br>*79* +1.00 |" in page
    assert "- two: `student=cnn`" in page and "distill run student=mlp loss=dkd" in page


def test_hours_count_each_model_once(page_of):
    runs = {f"seed={seed}": a_run(str(seed)) for seed in range(3)}
    page, *_ = page_of(TEXT.format(measure="errors", runs=1, row="of: student"), runs)
    spent = "teachers 1m40s, labelling 15s, students 3m00s, baselines 1m30s, evaluation 3.0s"
    assert f"Together 6m28s of computing: {spent}." in " ".join(page.split())
    assert "- A CPU, 2 threads, fp32; Python 3.11: 3 runs" in page


def test_prose_is_filled_and_begins_no_list_by_chance(modules):
    text = "word " * 23 + "1/n + 1/m " + "word " * 30 + "of 3. And"
    lines = modules.text.prose(text).splitlines()
    assert all(len(line) <= 116 for line in lines)
    assert not [line for line in lines if re.match(r"([-+*]|\d+\.) ", line)]


def views(tops=(0.70, 0.75, 0.76)):
    return {
        f"views.count={count} seed={seed}": a_run(
            f"{count}-{seed}",
            student=top1 + seed / 100,
            soft_labels={"views": count, "bytes": count * 750_000},
        )
        for count, top1 in zip((1, 2, 4), tops, strict=True)
        for seed in (0, 1)
    }


def test_a_chart_is_a_picture_of_its_own_that_tells_its_figures(modules, page_of):
    page, table, results = page_of(VIEWS, views())
    drawn = modules.figure.draw(table, results)
    root = ElementTree.fromstring(drawn)
    told = root.find("{http://www.w3.org/2000/svg}desc").text
    assert "1: 70.50, 2: 75.50, 4: 76.50" in told and f"![{told}](tiny.svg)" in page
    texts = [text for element in root.iter() if (text := (element.text or "").strip())]
    assert {"0.750 MB", "1.50 MB", "3.00 MB"} <= {*texts} and "stored views" in texts
    assert "var(--" not in drawn and 'height="100%" fill="#ffffff"' in drawn


def test_a_chart_says_only_what_differs(modules, page_of):
    runs = views()
    for run in runs.values():
        run["soft_labels"]["bytes"] = 1_500_000
    _, table, results = page_of(VIEWS.replace("seeds: [0, 1]", "seeds: [0]"), runs)
    drawn = modules.figure.draw(table, results)
    assert "1.50 MB" not in drawn and "LineCollection" not in drawn
    _, table, results = page_of(VIEWS, views())
    assert "LineCollection" in modules.figure.draw(table, results)


def test_there_is_no_chart_before_there_are_figures(modules, page_of):
    page, table, results = page_of(VIEWS, {})
    assert modules.figure.draw(table, results) is None and ".svg" not in page


def committed():
    return sorted(path.stem for path in PAGES.glob("*.md"))


@pytest.mark.parametrize("name", committed())
def test_a_page_in_the_docs_is_what_its_description_and_results_give(modules, name):
    page = modules.expansion.read_page(DESCRIPTIONS, name)
    settings = modules.settings.Settings()
    results = {table.name: modules.command.results_of(table, settings) for table in page.tables}
    written = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert written == modules.page.markdown(page, results), f"make table NAME={name} BENCH_ONLY=page"
    for table in page.tables:
        if told := modules.figure.caption(table, results[table.name]):
            drawn = (PAGES / f"{table.name}.svg").read_text(encoding="utf-8")
            assert f">{told}</desc>" in unescape(drawn), f"make table NAME={name} BENCH_ONLY=page"


def test_whatever_lies_beside_the_pages_belongs_to_one(modules):
    names = {"": {*committed()}}
    names[".json"] = {
        t.name for n in committed() for t in modules.expansion.read_page(DESCRIPTIONS, n).tables
    }
    for path in PAGES.glob("*"):
        assert path.stem in names[".json" if path.suffix in (".json", ".svg") else ""], path
