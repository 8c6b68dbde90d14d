"""A page is one file, shows what it is given and never runs it."""

import base64
import io

import numpy as np
import pytest
from jinja2 import DictLoader, UndefinedError
from PIL import Image

from distill_cli.pages import page


@pytest.fixture
def template(monkeypatch):
    """A page whose content is the text given."""

    def use(content: str) -> None:
        environment = page._environment.__wrapped__()
        shipped = environment.loader
        texts = {
            "base.html": shipped.get_source(environment, "base.html")[0],
            "try.html": "{% extends 'base.html' %}{% block content %}" + content + "{% endblock %}",
        }
        environment.loader = DictLoader(texts)
        monkeypatch.setattr(page, "_environment", lambda: environment)

    return use


def test_what_is_shown_is_escaped(template):
    template("<p>{{ name }}</p>")
    text = page.render("try.html", title="<&>", name='<script>alert("x")</script>')
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "<title>&lt;&amp;&gt;</title>" in text


def test_a_page_needs_nothing_from_elsewhere(template):
    template("")
    text = page.render("try.html", title="t")
    assert "http" not in text and "src=" not in text and "<link" not in text and "@import" not in text


def test_a_value_that_is_not_there_is_no_empty_spot(template):
    template("{{ forgotten }}")
    with pytest.raises(UndefinedError):
        page.render("try.html", title="t")


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 5, 7)])
def test_a_picture_keeps_its_pixels(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    head, _, data = page.picture(pixels).partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        found = np.asarray(image)
    np.testing.assert_array_equal(found, pixels[0] if shape[0] == 1 else pixels.transpose(1, 2, 0))
