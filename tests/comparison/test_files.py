"""compare.csv, compare.md, compare.html: what is in them, and that others can read them."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from pages import SVG, Page, told
from shelf import SHIFT

from distill_cli.comparison.dots import draw_references, label
from distill_cli.comparison.layout import layout_of
from distill_cli.comparison.measures import Measure
from distill_cli.comparison.page import page
from distill_cli.comparison.spreadsheet import spreadsheet
from distill_cli.comparison.text import headings, markdown
from distill_cli.pages.charts import axes_of, drawing

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def table(shelf, compared):
    return compared(*shelf.grid(temperatures=(1, 2, 4, 8, 20)))


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_csv_has_each_student_with_its_setting_and_its_exact_figures(table):
    rows = read(spreadsheet(table))
    assert len(rows) == 30 + 3 + 1 and {row["role"] for row in rows} == {"student", "baseline", "teacher"}
    first = rows[0]
    student = table.rows[0].students[0]
    assert (first["temperature"], first["alpha"], first["seed"], first["rank"]) == ("20", "0.9", "0", "1")
    assert float(first["validation_top1"]) == student.validation and first["key"] == student.key
    assert float(first["test_gain"]) == table.rows[0].gains[0]
    assert first["command"] == "distill run temperature=20 alpha=0.9 seed=0"
    assert {row["temperature"] for row in rows if row["role"] != "student"} == {""}


def test_the_csv_has_what_reports_measured(shelf, compared):
    student = shelf.student((0.9, 0.9))
    shelf.evaluation(student, latency_ms_b1_p50=0.123456789, ece=0.01)
    (row,) = read(spreadsheet(compared(student)))
    assert (row["latency_ms_b1_p50"], row["ece"], row["macs"]) == ("0.123456789", "0.01", "")
    assert row["device"] == "cpu, fp32, 1 thread" and row["role"] == "baseline"


def test_a_command_with_commas_and_quotes_survives_the_csv_and_a_pipe_the_markdown(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    command = """distill run 'student={a: "x,y"}' temperature=4"""
    views = {**SHIFT, "odd": "a|b", "count": 8}
    table = compared(
        shelf.student((0.9, 0.9), labels, command=command), shelf.student((0.8, 0.8), labels, views=views)
    )
    assert read(spreadsheet(table))[0]["command"] == command
    assert "a\\|b" in markdown(table, "x")


def test_the_markdown_is_the_ranked_table_with_what_to_know(table):
    lines = markdown(table, "digits").splitlines()
    assert lines[0] == "# digits" and lines[2].startswith("| rank | temperature | alpha | validation, % |")
    assert lines[4].startswith("| 1 | 20 | 0.9 | 91.30 ± 0.50 | 89.30 ± 0.50 |")
    assert len({line.count("|") for line in lines[2:16]}) == 1
    assert "- Ranked by mean validation accuracy" in lines[-3]


def test_the_page_is_well_formed_and_needs_nothing_else(table):
    html = page(table, "10 settings on digits")
    found = Page(html)
    assert len(found.ids) == len(set(found.ids)) and not [tag for tag, _ in found.tags if tag == "script"]
    assert not [link for link in found.links if re.match(r"(?i)\s*(https?:|//|javascript:)", link)]
    targets = [link[1:] for link in found.links if link.startswith("#")] + re.findall(
        r"url\(#([^)]+)\)", html
    )
    assert set(targets) <= set(found.ids)
    assert "@import" not in html and not re.search(r"\son\w+=", html)


def test_the_page_says_who_is_best_and_how_to_make_it_again(table):
    text = Page(page(table, "10 settings on digits")).text
    assert "Best by validation: temperature 20, alpha 0.9." in text
    assert "89.30 % test accuracy of the best setting" in text
    for seed in range(3):
        assert f"distill run temperature=20 alpha=0.9 seed={seed}" in text
    assert "distill train-teacher teacher.seed=0" in text


def test_the_table_can_be_read_aloud(table):
    found = Page(page(table, "x"))
    headers = [given for tag, given in found.tags if tag == "th"]
    assert headers and all(given.get("scope") in ("row", "col") for given in headers)
    assert [tag for tag, _ in found.tags].count("caption") == 1
    regions = [given for _, given in found.tags if given.get("role") == "region"]
    assert all(region["tabindex"] == "0" and region["aria-labelledby"] in found.ids for region in regions)


def test_the_charts_have_a_title_and_say_their_gist(table):
    validation, test = Page(page(table, "x")).charts()
    title, description = told(validation)
    assert title == "Validation accuracy by temperature" and told(test)[0] == "Test accuracy by temperature"
    assert "alpha 0.9, 5 points: best 91.30% at temperature 20, worst 87.50% at 1." in description
    assert "Baseline: 81.00%. Teacher: 96.00%." in description
    assert validation.get("role") == "img"


def test_the_axis_of_temperatures_has_a_tick_at_each(table):
    chart, _ = Page(page(table, "x")).charts()
    labels = ["".join(text.itertext()) for text in chart.iter(f"{SVG}text")]
    assert labels[:5] == ["1", "2", "4", "8", "20"]


def test_what_varies_beside_the_axis_and_the_lines_has_panels_the_best_first(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    table = compared(
        *(
            shelf.student(
                (0.9 - len(p) / 100, 0.9), labels, temperature=t, views={**SHIFT, "count": c}, precision=p
            )
            for t in (1, 4)
            for c in (1, 2, 4, 8)
            for p in ("bf16", "auto16")
        )
    )
    layout = layout_of(table)
    assert layout.x.name == "temperature" and [panel.title for panel in layout.panels] == [
        "precision bf16",
        "precision auto16",
    ]
    assert [one.name for one in layout.panels[0].series] == [f"views.count {c}" for c in (1, 2, 4, 8)]


def test_more_panels_than_one_can_read_are_counted(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    table = compared(
        *(
            shelf.student((0.9 - c / 100, 0.9), labels, temperature=t, alpha=a, views={**SHIFT, "count": c})
            for t in (1, 4)
            for a in (0.5, 0.9)
            for c in range(1, 9)
        )
    )
    layout = layout_of(table)
    assert (len(layout.panels), layout.hidden) == (6, 2)
    assert "the 6 of 8 combinations that hold the best settings" in Page(page(table, "x")).text


def test_a_search_with_a_value_of_its_own_for_each_trial_is_dots_in_one_chart(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    trials = [shelf.student((0.9, 0.9), labels, temperature=1 + n / 7, alpha=n / 20) for n in range(1, 20)]
    (panel,) = layout_of(compared(*trials)).panels
    (dots,) = panel.series
    assert not dots.is_line and len(dots.rows) == 19


def test_where_nothing_numeric_differs_there_is_a_dot_a_setting(shelf, compared):
    table = compared(*(shelf.student((0.9, 0.8), model=model) for model in ("mlp_8", "mlp_24", "cnn_tiny")))
    assert layout_of(table) is None
    title, description = told(Page(page(table, "x")).charts()[0])
    assert title == "Validation accuracy by setting" and "baseline, student mlp_8: 90.00%." in description


def test_dots_of_long_settings_have_labels_that_differ(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    views = [{**SHIFT, "odd": f"one that is rather long, and {end}" * 2} for end in ("ends", "goes on")]
    models = ("mlp_8", "mlp_24", "cnn_tiny")
    places = [shelf.student((0.9, 0.9), labels, model=m, views=v) for m in models for v in views]
    table = compared(*places)
    told = [label(table, row) for row in table.rows]
    assert len(set(told)) == 6 and told[0].startswith("#1 mlp_8 · one that") and told[0].endswith(" …")
    assert {text.count("\n") for text in told} == {1}
    unranked = [label(table, replace(row, rank=None)) for row in table.rows]
    assert len(set(unranked)) == 6 and not [text for text in unranked if "…" in text]


def test_a_dot_has_its_own_baseline_at_its_height_and_one_that_all_share_is_a_line(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    models = {"mlp_8": 0.7, "mlp_24": 0.75}
    places = [shelf.student((0.9, 0.9), labels, model=model) for model in models]
    for model, top1 in models.items():
        shelf.student((top1, top1), model=model)
    with drawing():
        _, (axes,) = axes_of()
        draw_references(axes, Measure("validation"), compared(*places).rows)
    (ticks,), (line,) = axes.collections, axes.get_lines()
    assert [sorted(segment[:, 0]) for segment in ticks.get_segments()] == [[70, 70], [75, 75]]
    assert [segment[:, 1].mean() for segment in ticks.get_segments()] == [0, 1]
    assert line.get_label() == "teacher" and list(line.get_ydata()) == [0, 1]


def test_a_baseline_that_some_settings_lack_is_no_line_through_all_of_them(shelf, compared):
    labels = shelf.labels(shelf.teacher())
    shelf.student((0.7, 0.7), model="mlp_8")
    places = [shelf.student((0.9, 0.9), labels, model=model) for model in ("mlp_8", "mlp_24")]
    with drawing():
        _, (axes,) = axes_of()
        draw_references(axes, Measure("validation"), compared(*places).rows)
    assert len(axes.get_lines()) == 1 and len(axes.collections[0].get_segments()) == 1


def test_one_seed_has_no_error_bar(shelf, compared):
    students = shelf.grid(seeds=(0, 1))
    one, two = (page(compared(*some), "x").count("<use") for some in (students[::2], students))
    assert two - one > 12  # two caps for each of 4 points in 2 charts, but for a tick or two of an axis


def test_sizes_have_a_front_and_one_size_has_none(shelf, compared, table):
    models = {"mlp_8": 0.8, "mlp_24": 0.7, "cnn_tiny": 0.9}
    places = [shelf.student((top1, 0.5), model=model) for model, top1 in models.items()]
    for place, time in zip(places, (0.3, 0.1, 0.9), strict=True):
        shelf.evaluation(place, latency_ms_b1_p50=time)
    charts = {told(chart) for chart in Page(page(compared(*places), "x")).charts()}
    found = dict(chart for chart in charts if "against" in chart[0])
    assert re.findall(r"#(\d) baseline, student (\w+)", found["Validation accuracy against parameters"]) == [
        ("2", "mlp_8"),
        ("1", "cnn_tiny"),
    ]
    time = found["Validation accuracy against latency of one picture on cpu, fp32, 1 thread"]
    assert re.findall(r"student (\w+): .*? with ([\d.]+) ms", time) == [
        ("mlp_24", "0.1"),
        ("mlp_8", "0.3"),
        ("cnn_tiny", "0.9"),
    ]
    assert "All settings have one size, 1,810 parameters" in Page(page(table, "x")).text


def test_the_front_of_latency_says_which_settings_nobody_measured(shelf, compared):
    models = ("mlp_8", "mlp_24", "cnn_tiny", "cnn_tiny")
    places = [shelf.student((0.9, 0.9), model=m, views={**SHIFT, "count": n}) for n, m in enumerate(models)]
    for place in places[:2]:
        shelf.evaluation(place, latency_ms_b1_p50=float(place.label.startswith("mlp_8")))
    text = Page(page(compared(*places), "x")).text
    assert "Not measured: 2 settings of cnn_tiny; distill evaluate measures them." in text
    assert text.count("A model's time is the mean over the reports of its network") == 1
    for place in places[2:]:
        shelf.evaluation(place, latency_ms_b1_p50=2.0)
    assert "Not measured" not in Page(page(compared(*places), "x")).text


def test_an_unranked_table_has_a_page_without_a_best(shelf, compared):
    labels = shelf.labels(shelf.teacher((None, 0.9)))
    table = compared(*(shelf.student((None, 0.9), labels, temperature=t) for t in (1, 4)))
    text = Page(page(table, "x")).text
    assert "Best by" not in text and "Test accuracy by temperature" in text and "Not ranked" in text


def test_names_are_escaped(shelf, compared):
    table = compared(
        shelf.student((0.9, 0.9), command="distill run 'a=<b>&c'"),
        shelf.student((0.9, 0.9), views={**SHIFT, "odd": "<i>&"}),
    )
    html = page(table, "<x>")
    assert "<b>" not in html and "<i>" not in html and "<x>" not in html
    Page(html)


FRAME = """<!doctype html><title>nothing</title>
<script>addEventListener("message", event => document.title = event.data)</script>
<iframe src="page.html" style="width: 360px; height: 800px; border: 0"></iframe>
"""
PROBE = """<script>
const colour = getComputedStyle(document.body).backgroundColor, cells = document.querySelectorAll("td");
parent.postMessage([innerWidth, document.documentElement.scrollWidth, colour, cells.length].join(";"), "*");
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_browser_shows_the_page_on_a_phone(table, tmp_path, scheme):
    html = page(table, "10 settings on digits").replace("</body>", f"{PROBE}</body>")
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME, encoding="utf-8")
    settings = f"--blink-settings=preferredColorScheme={['dark', 'light'].index(scheme)}"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=3000"]
    where = [f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "frame.html").as_uri()]
    command = [CHROMIUM, *flags, settings, "--dump-dom", *where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    (title,) = re.findall("<title>(.*?)</title>", done.stdout)
    width, needed, background, cells = title.split(";")
    assert (int(width), int(needed)) == (360, 360), "only tables scroll sideways"
    assert background == ("rgb(13, 17, 23)" if scheme == "dark" else "rgb(255, 255, 255)")
    assert int(cells) == len(table.all_rows) * (len(headings(table)) - 1)
