"""What makes a student what it is: its identity, and behind the keys in it those of labels and teacher.

Flat, and under the names that a user types. An argument of a choice (`student.optimizer.lr`) knows which choice
it belongs to, because it only means something beside the same choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distill_cli.artifacts.keys import canonical_json, key_of
from distill_cli.cache.documents import DIGITS
from distill_cli.comparison.library import Library
from distill_cli.comparison.names import (
    DIGESTS,
    IN_ONE_CELL,
    NAMED_BY,
    NO_SETTING,
    OF_LABELS,
    OF_STUDENT,
    OF_TEACHER,
    typed,
    word_of,
)
from distill_cli.comparison.students import STUDENTS, TEACHERS, Student


@dataclass(frozen=True)
class Fact:
    value: Any  # plain, or a Thing
    within: str = ""  # the choice whose argument it is

    @property
    def canonical(self) -> str:
        value = self.value
        return canonical_json([value.word, value.spec] if isinstance(value, Thing) else value)


@dataclass(frozen=True)
class Thing:
    """A spec that has one cell: a model, a loss."""

    word: str
    spec: Mapping[str, Any]


Facts = Mapping[str, Fact]


def facts_of(student: Student, library: Library) -> Facts:
    """Raises `ArtifactError` where labels or teacher are there and damaged."""
    if student.kind == TEACHERS:
        return _teacher(student)
    taught = student.identity.get("distillation") or {}
    found = _Telling(OF_STUDENT, NO_SETTING[STUDENTS]).of({**student.identity, "distillation": taught})
    taught_by = _taught_by(taught.get("soft_labels"), taught.get("teacher"), library)
    return {**found, **taught_by, "student": _model(student)}


def teacher_key(student: Student, library: Library) -> str | None:
    """None for a baseline, and where the labels that would say it are gone."""
    taught = student.identity.get("distillation") or {}
    labels = library.labels(taught["soft_labels"]) if taught.get("soft_labels") else None
    return taught.get("teacher") or (labels or {}).get("teacher")


def _taught_by(labels_key: str | None, teacher: str | None, library: Library) -> Facts:
    """What is behind the keys; where nothing is there any more, the key's first digits."""
    if labels_key is not None:
        labels = library.labels(labels_key)
        if labels is None:
            return {"soft_labels": Fact(labels_key[:DIGITS])}
        found = _Telling(OF_LABELS, NO_SETTING["soft_labels"]).of(labels)
        return {**found, **_taught_by(None, labels.get("teacher"), library)}
    if teacher is None:
        return {}
    known = library.model(TEACHERS, teacher)
    return _teacher(known) if known else {"teacher": Fact(teacher[:DIGITS])}


def _teacher(teacher: Student) -> Facts:
    found = _Telling(OF_TEACHER, NO_SETTING[TEACHERS]).of(teacher.identity)
    own = found.get("teacher.views.seed")
    if own and own.value in (0, teacher.seed):  # as it is, unless one says otherwise
        del found["teacher.views.seed"]
    return {**found, "teacher": _model(teacher)}


def _model(student: Student) -> Fact:
    """By its name, which is in no identity."""
    name = student.model.get("name") or word_of(student.model)
    return Fact(Thing(str(name), student.identity.get("model") or {}))


@dataclass(frozen=True)
class _Telling:
    """One kind of identity, flat and in a user's words."""

    names: Mapping[str, str]
    left_out: tuple[str, ...]

    def of(self, identity: Mapping[str, Any]) -> dict[str, Fact]:
        return dict(fact for path, value in identity.items() for fact in self._at(path, value, ""))

    def _at(self, path: str, value: Any, within: str) -> Iterator[tuple[str, Fact]]:
        name = typed(path, self.names)
        if path in self.left_out:
            return
        if path in DIGESTS:
            yield name, Fact((value if isinstance(value, str) else key_of({"": value}))[:DIGITS])
        elif not isinstance(value, Mapping):
            yield name, Fact(value, within if name.startswith(f"{within}.") else "")
        elif path in IN_ONE_CELL:
            yield name, Fact(Thing(word_of(value), value))
        else:
            yield from self._inside(path, value, within)

    def _inside(self, path: str, spec: Mapping[str, Any], within: str) -> Iterator[tuple[str, Fact]]:
        if "_target_" in spec or path.endswith("mixing"):  # a choice; no mixing is an empty one
            within = typed(path, self.names)
            yield within, Fact(word_of(spec))
        told = ("_target_", NAMED_BY.get(str(spec.get("_target_"))))
        for key, value in spec.items():
            if key not in told:
                yield from self._at(f"{path}.{key}", value, within)
