"""report.html: well-formed, of one piece, small, the same for the same report, and readable by everybody."""

import re
import shutil
import subprocess
from collections import Counter
from html import escape
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from toy import HISTORY, answers, random_answers, report_of, three

from distill_cli.data.splits import ArraySplit
from distill_cli.evaluation.report_page import page, pictures_of

CLASSES = tuple("abcde")
NASTY = ("<b>&\"'</b>", "$x_1$", "<script>alert(1)</script>", "学生", "é" * 200)
VOID = {"meta", "img", "br", "link", "input", "hr"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Outline(HTMLParser):
    """Elements as they open and close; fails where they do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def outline() -> Outline:
    return Outline(page(report_of(three(), CLASSES), {}))


def test_ids_are_unique_and_every_reference_has_its_target(outline):
    ids = Counter(attributes["id"] for _, attributes in outline.elements if attributes.get("id"))
    assert ids and max(ids.values()) == 1
    links = [attributes.get("href") or attributes.get("xlink:href") for _, attributes in outline.elements]
    assert {link.removeprefix("#") for link in links if link} <= ids.keys()


def test_nothing_comes_from_elsewhere_and_nothing_runs(outline):
    names = {name for name, _ in outline.elements}
    assert not names & {"script", "link", "iframe", "object"}
    for _, attributes in outline.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))


def test_a_screen_reader_finds_captions_heads_and_the_words_of_each_chart(outline):
    tables, captions = outline.named("table"), outline.named("caption")
    assert len(tables) == len(captions) > 4
    assert all(head.get("scope") in ("row", "col") for head in outline.named("th"))
    charts = [one for one in outline.named("svg") if one.get("role") == "img"]
    assert 2 <= len(charts) <= 4 and all(one["aria-labelledby"] for one in charts)
    says = " ".join(outline.text)
    assert "student: right in" in says and "calibration error" in says
    assert "teacher: 2 after epoch 1, 0.4 after epoch 5" in says


def test_no_legend_lies_on_a_chart_and_the_key_above_it_names_the_models_it_shows():
    curves = {"teacher": [], "student": HISTORY, "baseline": HISTORY}
    html = page(report_of(three(), CLASSES, curves=curves), {})
    figures = [part.partition("</figure>")[0] for part in html.split("<figure>")[1:]]
    named = [re.findall(r'<i class="(\w+)"></i>\1<', figure.partition("<svg")[0]) for figure in figures]
    assert named == [["teacher", "student", "baseline"], ["student", "baseline"]]
    assert not [figure for figure in figures if 'id="' in figure and "legend" in figure]


def test_a_caption_is_short_where_its_table_may_have_two_columns_only():
    html = page(report_of(three(2), CLASSES[:2]), {})
    caption = html.partition('<table class="heat">')[2].partition("<caption>")[2].partition("</caption>")[0]
    assert len(caption) < 20 and "Orange is worse, blue better" in html


def test_the_page_has_the_command_the_chain_and_the_fingerprint(outline):
    says = " ".join(" ".join(outline.text).split())
    for part in ("distill run seed=1", "toy-123", "e" * 64, "a" * 16, "in 1.5 s", "torch 2.15.0"):
        assert part in says, part


def test_names_of_classes_are_text_whatever_is_in_them():
    html = page(report_of(three(), NASTY, pictures=3), {})
    found = Outline(html)
    assert "<b>" not in html and "<script" not in html
    assert all(name in "".join(found.text) for name in NASTY)


def test_pictures_are_shown_with_the_words_that_say_the_same():
    report = report_of(three(), NASTY, pictures=3)
    listed = report["disagreements"]["student_right"] + report["disagreements"]["teacher_right"]
    url = "data:image/png;base64,AAAA"
    found = Outline(page(report, {one["index"]: url for one in listed}))
    images = found.named("img")
    assert len(images) == len(listed) == 6
    assert [image["alt"] for image in images] == [
        f"true {one['true']}, student {one['student']}, teacher {one['teacher']}" for one in listed
    ]


def test_the_same_report_is_the_same_page():
    report = report_of(three(), CLASSES)
    assert page(report, {}) == page(report, {})


def test_thousands_of_classes_make_no_large_page():
    names = [f"class {number}" for number in range(3000)]
    found = {role: random_answers(n, 6000, 3000) for n, role in enumerate(("teacher", "student"))}
    report = report_of({**found, "baseline": None}, names)
    html = page(report, {})
    assert len(report["per_class"]) == 3000 and len(html) < 150_000
    assert "The 15 of 3,000 classes" in html and "more" in html


@pytest.mark.parametrize(
    ("labels", "predicted", "baseline"),
    [([], [], True), ([0], [1], False), ([0, 1], [0, 1], True), ([0, 0], [0, 0], False)],
    ids=["no samples", "one sample", "nothing ever wrong", "one class"],
)
def test_reports_with_little_in_them_are_pages_too(labels, predicted, baseline):
    one = answers(labels, predicted)
    found = {"teacher": one, "student": one, "baseline": one if baseline else None}
    curves = {"teacher": [], "student": [], "baseline": []}
    text = " ".join(Outline(page(report_of(found, CLASSES, curves=curves), {})).text)
    assert "nan" not in text.lower() and "None" not in text and "Training" not in text


def test_a_finding_is_shown_with_its_figures_and_what_to_try():
    finding = {"rule": "too small", "says": "a < b", "evidence": {"train": 0.5}, "try": "student=mlp"}
    text = " ".join(Outline(page(report_of(three(), CLASSES, diagnosis=[finding]), {})).text)
    assert "Why it stays behind" in text and "a < b" in text and "student=mlp" in text and "train 0.5" in text


def data_of(channels: int, side: int) -> SimpleNamespace:
    images = np.arange(2 * channels * side**2).reshape(2, channels, side, side).astype(np.uint8)
    return SimpleNamespace(image_shape=(channels, side, side), test=ArraySplit(images, np.zeros(2, np.int64)))


@pytest.mark.parametrize("channels", [1, 3])
def test_small_pictures_are_carried_by_the_page_as_they_are(channels):
    from base64 import b64decode
    from io import BytesIO

    data = data_of(channels, 8)
    shown = pictures_of(data, [1])
    image = np.asarray(Image.open(BytesIO(b64decode(shown[1].partition(",")[2]))))
    np.testing.assert_array_equal(image.reshape(8, 8, -1), data.test.images[1].transpose(1, 2, 0))


@pytest.mark.parametrize(("channels", "side"), [(1, 65), (4, 8), (2, 8)])
def test_large_pictures_and_those_that_are_no_picture_are_left_out(channels, side):
    assert pictures_of(data_of(channels, side), [0, 1]) == {}


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_shows_the_page_on_a_phone_without_scrolling_sideways(tmp_path):
    report = report_of(three(), tuple("a class with quite a long name " + name for name in CLASSES))
    (tmp_path / "phone.html").write_text(
        f'<iframe width="360" height="800" style="border: 0" srcdoc="{escape(page(report, {}))}"'
        ' onload="const d = this.contentDocument.documentElement; '
        "document.title = d.scrollWidth - d.clientWidth + ' too wide'\"></iframe>",
        "utf-8",
    )
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [CHROMIUM, *options, profile, (tmp_path / "phone.html").as_uri()],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "<title>0 too wide</title>" in done.stdout
