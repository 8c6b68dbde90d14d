"""What makes a student what it is: its identity, and behind the keys in it those of labels and teacher.

Flat, and under the names that a user types. An argument of a choice (`student.optimizer.lr`) knows which choice
it belongs to, because it only means something beside the same choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill_cli.artifacts.keys import canonical_json, key_of
from distill_cli.cache.documents import DIGITS
from distill_cli.comparison.descent import Descent
from distill_cli.comparison.names import (
    DIGESTS,
    IN_ONE_CELL,
    NAMED_BY,
    NO_SETTING,
    NONE,
    OF_LABELS,
    OF_STUDENT,
    OF_TEACHER,
    OF_THE_GONE,
    PEERS,
    typed,
    word_of,
)
from distill_cli.comparison.students import STUDENTS, TEACHERS, Student

NO_TEACHER = ("none", "peers")  # sources of what a student learns


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
    spec: Mapping[Any, Any]  # of several things by their numbers


Facts = Mapping[str, Fact]


def facts_of(student: Student, descent: Descent) -> Facts:
    if student.kind == TEACHERS:
        return _teacher(student)
    taught = student.identity.get("distillation") or {}
    found = _Telling(OF_STUDENT, NO_SETTING[STUDENTS]).of(
        {**_in_full(student.identity), "distillation": taught}
    )
    labels = _together([_Telling(OF_LABELS, NO_SETTING["soft_labels"]).of(each) for each in descent.labels])
    lost = {kind: key[:DIGITS] for kind, key in descent.gone}  # where nothing is there any more
    gone = {OF_THE_GONE[kind]: Fact(digits) for kind, digits in lost.items()}
    teachers = _together([_teacher(teacher) for teacher in descent.teachers])
    if taught.get("source") in NO_TEACHER:
        del found["teacher_source"]  # the loss says it, or peers
    passed_on = _passed_on(student, descent) if taught else {}
    return {
        **found,
        **_transfer(student.identity.get("transfer") or {}),
        **labels,
        **teachers,
        **gone,
        **passed_on,
        "student": _model(student),
    }


def _in_full(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the limit on weights, which a recipe leaves out where there is none."""
    recipe = identity.get("recipe")
    return {**identity, "recipe": {"max_norm": None, **recipe}} if recipe else identity


def _transfer(said: Mapping[str, Any]) -> Facts:
    """What it learned from: all of train, unless its identity says otherwise."""
    classes = said.get("classes")
    return {
        "transfer.fraction": Fact(said.get("fraction", 1.0)),
        "transfer.classes": Fact("all" if classes is None else classes or NONE),
        "transfer.without": Fact(said.get("without") or NONE),
        "transfer.unlabelled": Fact(said.get("unlabelled", True)),
    }


def _passed_on(student: Student, descent: Descent) -> Facts:
    """What came between teacher and student. A student of the same model before it is a former generation."""
    taught, model = student.identity["distillation"], student.identity.get("model")
    peers = {} if "peers" in taught else {"peers": Fact(NONE)}
    if taught.get("source") in NO_TEACHER:
        return peers
    generations = [one for one in descent.before if one.identity.get("model") == model]
    assistants = _together([{"": _model(one)} for one in descent.before if one not in generations])
    return {
        **peers,
        **({} if "filter" in taught else {"teacher_filter": Fact(NONE)}),
        "assistant": assistants.get("", Fact(NONE)),
        "generations": Fact(1 + len(generations)),
    }


def _together(each: Sequence[Facts]) -> dict[str, Fact]:
    """Those of several that count as one: what they share, and a list of what they do not."""
    names = dict.fromkeys(name for facts in each for name in facts)
    return {name: _joined([facts[name] for facts in each if name in facts]) for name in names}


def _joined(facts: Sequence[Fact]) -> Fact:
    values = [fact.value for fact in facts]
    if len({fact.canonical for fact in facts}) == 1 and not isinstance(values[0], Thing):
        return facts[0]
    things = [value for value in values if isinstance(value, Thing)]
    if len(things) == 1:
        return facts[0]
    if things:
        specs = dict(enumerate((thing.spec for thing in things), 1))
        return Fact(Thing("+".join(thing.word for thing in things), specs))
    return Fact(values, facts[0].within)


def _teacher(teacher: Student) -> dict[str, Fact]:
    found = _Telling(OF_TEACHER, NO_SETTING[TEACHERS]).of(_in_full(teacher.identity))
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
        elif path == PEERS:
            yield name, Fact(Thing("+".join(map(word_of, value)), dict(enumerate(value, 1))))
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
