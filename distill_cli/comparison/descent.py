"""Who taught a student: the teachers in the beginning, and the students between them and it.

A student that learned from another one (an assistant, a former generation) is followed back through that one's soft
labels. Where something on the way is gone, its key is all that is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from distill_cli.artifacts.keys import canonical_json
from distill_cli.comparison.library import SOFT_LABELS, Library
from distill_cli.comparison.students import STUDENTS, TEACHERS, Student

Identity = Mapping[str, Any]


@dataclass(frozen=True)
class Descent:
    """Of a student that learned from nobody all are empty."""

    teachers: tuple[Student, ...] = ()  # several of them spoke as one
    before: tuple[Student, ...] = ()  # students, the first taught by the teachers, each by the one before
    labels: tuple[Identity, ...] = ()  # soft labels from which the student itself learned
    gone: tuple[tuple[str, str], ...] = field(default=())  # kind and key of what is not there any more

    @classmethod
    def of(cls, student: Student, library: Library) -> Descent:
        """Raises `ArtifactError` where what is there is damaged."""
        taught = student.identity.get("distillation") or {}
        found = [(key, library.labels(key)) for key in _keys(taught, "soft_labels")]
        labels = [identity for _, identity in found if identity is not None]
        keys = [
            *_keys(taught, "teacher"),
            *(key for identity in labels for key in _keys(identity, "teacher")),
        ]
        lost = [(SOFT_LABELS, key) for key, identity in found if identity is None]
        if len(keys) == 1 and (former := library.model(STUDENTS, keys[0])):
            its = cls.of(former, library)
            return cls(its.teachers, (*its.before, former), tuple(labels), (*its.gone, *lost))
        models = [(key, library.model(TEACHERS, key)) for key in keys]
        lost += [(TEACHERS, key) for key, model in models if model is None]
        return cls(tuple(model for _, model in models if model), (), tuple(labels), tuple(lost))


def setting_of(student: Student, library: Library) -> str:
    """Equal for students that differ in their seeds alone, and in those of the students that taught them."""
    descent = Descent.of(student, library)
    if not descent.before:
        return student.setting
    taught_by = setting_of(descent.before[-1], library)
    labels = [{**identity, "teacher": taught_by} for identity in descent.labels]
    taught = {**student.identity["distillation"], "soft_labels": labels, "teacher": taught_by}
    return canonical_json({**student.identity, "seed": None, "distillation": taught})


def _keys(identity: Identity, role: str) -> Iterator[str]:
    found = identity.get(role)
    yield from found if isinstance(found, list) else [found] if found else []
