"""What a description may say, field by field. A wrong one is a `ConfigError`: one line that says where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from distill_cli.config.nearest import nearest
from distill_cli.errors import ConfigError
from tables.measures import MODELS
from tables.shapes import (
    COUNT,
    FLAG,
    MAPPING,
    NUMBER,
    TEXT,
    WORDS,
    Shape,
    fault,
    list_of,
    one_of,
    or_none,
)

Said = dict[str, Any]
SEEDS = list_of(COUNT, "a list of whole numbers: [0, 1]")
RUNS = or_none(Shape("how many, or null", lambda value: COUNT.fits(value) and value > 0))
OF = one_of(*MODELS)
ROWS = list_of(MAPPING, "a list of rows, `- {label: …}`")
EACH = Shape(
    "one name with a list of values: {T: [1, 2]}",
    lambda each: (
        isinstance(each, dict) and [bool(v) and isinstance(v, list) for v in each.values()] == [True]
    ),
)
ANYTHING = Shape("", lambda value: True)  # looked at elsewhere
PLACE = Shape("a text or a number", lambda value: TEXT.fits(value) or NUMBER.fits(value))
FOUND = {"note": TEXT, "found": TEXT}

OF_PAGE = {"title": TEXT, "about": TEXT, "tables": list_of(TEXT, "a list of names"), "found": TEXT}
OF_TABLE = {
    "title": TEXT,
    "about": TEXT,
    "measure": TEXT,
    "seeds": SEEDS,
    "common": WORDS,
    "rows": ROWS,
    "sections": list_of(MAPPING, "a list of sections, `- {title: …}`"),
    "layout": one_of("matrix"),
    "chart": MAPPING,
    "found": TEXT,
    "get": TEXT,
    "published_runs": RUNS,
    "best_epoch": NUMBER,
    "compare": FLAG,
    "baseline": FLAG,
}
OF_CHART = {"x": TEXT, "disk": FLAG}
OF_SECTION = {"title": TEXT, "run": WORDS, "of": OF, "turn": COUNT, "rows": ROWS}
OF_ROW = {
    "label": TEXT,
    "run": WORDS,
    "of": OF,
    "measure": TEXT,
    "seeds": SEEDS,
    "published": ANYTHING,
    "published_runs": RUNS,
    "best_epoch": FLAG,
    "compare": FLAG,
    "at": PLACE,
    "turn": COUNT,
    "each": EACH,
    "in": MAPPING,
    **FOUND,
}
OF_ONE = {"run": WORDS, **FOUND}  # of a row in one section


def fields(known: Mapping[str, Shape], said: object, where: str, required: Iterable[str] = ()) -> Said:
    """What is said, found fit."""
    if not isinstance(said, dict):
        raise ConfigError(f"{where}: {said} must be {MAPPING.wants}")
    for name in said:
        if name not in known:
            near = nearest(str(name), list(known))
            remedy = f"did you mean `{near}`?" if near else f"it may have {', '.join(known)}"
            raise ConfigError(f"{where}: there is no `{name}`; {remedy}")
    for name in required:
        if name not in said:
            raise ConfigError(f"{where}: `{name}` is missing")
    if wrong := fault(said, known):
        raise ConfigError(f"{where}: {wrong}")
    return said
