"""report.html: report.json for people, in one file. No torch.

Everything on the page is in report.json but the pictures, which are handed over as `data:` URLs by their index.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from distill_cli.data.splits import DataSet
from distill_cli.evaluation.cards import cards
from distill_cli.evaluation.chain import HEADINGS, TITLE, caption, chain_rows
from distill_cli.evaluation.per_class import change, most_changed
from distill_cli.evaluation.report import ROLES, correction, headline, table_rows
from distill_cli.evaluation.report_charts import curve_chart, reliability_chart, roles_with
from distill_cli.pages.page import picture, render

MOST_CLASSES = 15  # that lost or gained most
MOST_PIXELS = 64  # a side of a picture that is shown
MOST_ITEMS = 12  # of a list in an identity
CURVES = (
    ("hard", "loss", "Loss against the labels, on each model's own training views", "cross-entropy (nats)"),
    ("validation_top1", "validation", "Accuracy on the validation part", "validation top-1"),
)
KINDS = {
    "student_right": "The student is right, the teacher wrong",
    "teacher_right": "The teacher is right, the student wrong",
}


def page(report: Mapping[str, Any], pictures: Mapping[int, str]) -> str:
    """The page of a report; `pictures` are those of its disagreements, or none."""
    return render(
        "report.html",
        title=report["title"],
        report=report,
        roles=[role for role in ROLES if report["models"][role] is not None],
        headline=headline(report),
        correction=correction(report),
        cards=cards(report),
        rows=table_rows(report),
        chain={
            "title": TITLE,
            "caption": caption(report),
            "headings": HEADINGS,
            "rows": chain_rows(report),
        },
        reliability=reliability_chart(report),
        classes=_classes(report),
        heat=_heat(report),
        kinds=KINDS,
        pictures=pictures,
        curves=_curves(report),
        steps=[_step(step) for step in report["provenance"]],
    )


def pictures_of(data: DataSet, indices: Iterable[int]) -> dict[int, str]:
    """Test pictures as `data:` URLs; none where they are larger than a page should carry."""
    channels, *size = data.image_shape
    if max(size) > MOST_PIXELS or channels not in (1, 3):
        return {}
    return {index: picture(data.test.clean(index)) for index in indices}


def _classes(report: Mapping[str, Any]) -> dict[str, Any]:
    """The classes that changed most, and where their scale begins."""
    found = most_changed(report["per_class"], MOST_CLASSES)
    shares = [one[role] for one in found for role in ROLES if one[role] is not None]
    start = int(10 * min(shares, default=0)) / 10
    return {
        "shown": [{**one, "change": change(one)} for one in found],
        "count": len(report["per_class"]),
        "start": min(start, 0.9),
    }


def _heat(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """The student's counts minus the teacher's, and the largest difference."""
    counts = report["confusion_counts"]
    if counts is None:
        return None
    rows = [
        [ours - theirs for ours, theirs in zip(*pair, strict=True)]
        for pair in zip(counts["student"], counts["teacher"], strict=True)
    ]
    names = [one["class"] for one in report["per_class"]]
    return {"names": names, "rows": rows, "most": max((abs(n) for row in rows for n in row), default=0)}


def _curves(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Charts of the training, with what is said below them and the models that they show."""
    curves = report["curves"]
    return [
        {"says": title, "roles": roles, "chart": curve_chart(curves, figure, name, title, label)}
        for figure, name, title, label in CURVES
        if (roles := roles_with(curves, figure))
    ]


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step of the provenance, its identity as text."""
    identity = json.dumps(_shortened(step["identity"]), indent=2, ensure_ascii=False)
    data = step["identity"].get("data")
    fingerprint = data if isinstance(data, Mapping) and "train" in data else None
    return {**step, "identity": identity, "fingerprint": fingerprint}


def _shortened(value: Any) -> Any:
    """Without most of a long list: a thousand class names are in report.json."""
    if isinstance(value, Mapping):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) > MOST_ITEMS:
        return [*value[:3], f"… {len(value) - 4:,} more", value[-1]]
    return value
