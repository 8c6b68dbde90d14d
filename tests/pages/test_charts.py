"""Charts that are part of a page: its colours, its font, names of their own, and words for who cannot see them."""

import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from distill_cli.pages import charts
from distill_cli.pages.charts import axes_of, drawing, few_ticks, one_axes, series, svg


def drawn(name: str = "one", title: str = "Accuracy", description: str = "It rises.") -> str:
    with drawing():
        figure, (axes,) = axes_of()
        axes.errorbar([1, 2, 4], [0.1, 0.3, 0.2], yerr=0.01, label="alpha=0.5", **series(0))
        axes.plot([1, 2, 4], [0.2, 0.2, 0.3], label="alpha=0.9", **series(1))
        axes.set_xlabel("temperature")
        axes.legend()
        return svg(figure, name, title, description)


def test_a_chart_is_well_formed_and_scales_with_the_page():
    root = ElementTree.fromstring(drawn())
    assert root.tag.endswith("svg") and root.get("viewBox")
    assert root.get("width") is None and root.get("height") is None


def test_a_chart_has_the_colours_of_the_page_and_no_others_of_ours():
    text = drawn()
    for name in ("ink", "muted", "grid", "series-1", "series-2"):
        assert f"var(--{name})" in text
    assert not [colour for colour in charts.NAMES if colour in text]


def test_every_colour_of_a_chart_has_its_value_in_light_and_in_dark():
    from distill_cli.pages.page import _environment

    style = _environment().loader.get_source(_environment(), "base.html")[0]
    for name in charts.NAMES.values():
        assert len(re.findall(rf"--{name}:", style)) == 2, name


def test_text_stays_text_in_the_font_of_the_page():
    text = drawn()
    assert ">temperature</text>" in text and ">alpha=0.9</text>" in text
    assert "font-family" not in text and "font-size: 10px" in text


def test_a_screen_reader_gets_title_and_description_escaped():
    root = ElementTree.fromstring(drawn(title="a < b", description="5 & 6"))
    title, description = root[0], root[1]
    assert (title.text, description.text) == ("a < b", "5 & 6")
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


def test_two_charts_on_a_page_share_no_id_and_refer_to_their_own():
    one, two = drawn("one"), drawn("two")
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, two)]
    assert not ids[0] & ids[1]
    for text, own in zip((one, two), ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', text)) <= own


def test_equal_figures_are_equal_bytes():
    assert drawn() == drawn()


def test_settings_of_matplotlib_are_as_before():
    before = dict(mpl.rcParams)
    with pytest.raises(KeyError), drawing():
        drawn()
        raise KeyError
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("shown", "ticks"),
    [
        ((0, 1.02), [0, 0.5, 1]),
        ((0.93, 1.0), [0.94, 0.96, 0.98, 1.0]),
        ((0, 2.6), [0, 1, 2]),
        ((-2e-5, 9e-5), [0, 5e-5]),
    ],
)
def test_ticks_are_few_round_and_within_what_is_shown(shown, ticks):
    _, axes = one_axes(4, 3)
    axes.set_ylim(*shown)
    few_ticks(axes.yaxis)
    assert axes.get_yticks() == pytest.approx(ticks) and axes.get_ylim() == shown


@pytest.mark.parametrize(("epochs", "ticks"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (30, [0, 10, 20, 30])])
def test_ticks_of_epochs_are_whole(epochs, ticks):
    _, axes = one_axes(4, 3)
    axes.plot(range(1, epochs + 1), [0] * epochs)
    few_ticks(axes.xaxis, integer=True)
    assert list(axes.get_xticks()) == ticks


def test_what_stands_at_the_axes_is_within_the_chart():
    with drawing():
        figure, axes = one_axes(4.6, 3.5)
        axes.set(xlabel="confidence", ylabel="accuracy")
        svg(figure, "one", "title", "description")  # which puts the labels where they stand
        for label in (axes.xaxis.label, axes.yaxis.label):
            box = label.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0
            assert not box.overlaps(axes.get_window_extent())
            ticks = (*axes.get_xticklabels(), *axes.get_yticklabels())
            assert not [tick for tick in ticks if tick.get_window_extent().overlaps(box)]


def test_lines_differ_by_more_than_colour():
    assert len({series(number)["marker"] for number in range(8)}) == 8
    assert series(8) == series(0)
