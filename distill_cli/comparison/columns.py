"""Which settings differ, and how each of them is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distill_cli.artifacts.keys import canonical_json
from distill_cli.comparison.facts import Fact, Facts, Thing
from distill_cli.comparison.names import place_of

ABSENT = "–"
OF_DISTILLATION = ("temperature", "alpha")  # what tells a student from its baseline


@dataclass(frozen=True, eq=False)
class Column:
    """A setting that differs. `things` has the text of each spec in it."""

    name: str
    things: Mapping[str, str] = field(default_factory=dict)

    def cell(self, facts: Facts) -> str:
        fact = facts.get(self.name)
        if fact is None:
            return ABSENT
        return self.things.get(fact.canonical) or plain(fact.value)

    def number(self, facts: Facts) -> float | None:
        """For an axis."""
        value = facts[self.name].value if self.name in facts else None
        return float(value) if isinstance(value, int | float) and type(value) is not bool else None

    def is_word(self, facts: Facts) -> bool:
        return self.name in facts and self.number(facts) is None


def columns_of(settings: Sequence[Facts]) -> tuple[Column, ...]:
    """One for each name under which the settings differ, in the order of `names.ORDER`."""
    found = {name for name in {n for facts in settings for n in facts} if _differs(name, settings)}
    are_distilled = {name in facts for facts in settings for name in OF_DISTILLATION}
    if len(are_distilled) > 1:
        found |= {*OF_DISTILLATION}
    return tuple(Column(name, _things(name, settings)) for name in sorted(found, key=place_of))


def plain(value: Any) -> str:
    """As it would be typed."""
    if isinstance(value, Thing):
        return value.word
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{','.join(map(plain, value))}]"
    return value if isinstance(value, str) else canonical_json(value)


def _differs(name: str, settings: Sequence[Facts]) -> bool:
    """An argument is compared where the choice is the same; a setting where it is there at all."""
    within = next(facts[name].within for facts in settings if name in facts)
    groups: dict[str, set[str]] = {}
    for facts in settings:
        if within in facts if within else name in facts:
            choice = facts[within].canonical if within else ""
            groups.setdefault(choice, set()).add(facts[name].canonical if name in facts else ABSENT)
    return any(len(values) > 1 for values in groups.values())


def _things(name: str, settings: Sequence[Facts]) -> dict[str, str]:
    """The word alone where it says enough, else with the arguments that differ."""
    known = {facts[name].canonical: facts[name] for facts in settings if name in facts}
    by_word: dict[str, list[Fact]] = {}
    for fact in known.values():
        if isinstance(fact.value, Thing):
            by_word.setdefault(fact.value.word, []).append(fact)
    return {fact.canonical: _text(fact, alike) for alike in by_word.values() for fact in alike}


def _text(fact: Fact, alike: Iterable[Fact]) -> str:
    specs = [dict(_flat(other.value.spec)) for other in alike]
    keys = sorted({key for spec in specs for key in spec})
    differing = [key for key in keys if len({canonical_json(spec.get(key)) for spec in specs}) > 1]
    own = dict(_flat(fact.value.spec))
    told = ", ".join(f"{key}={plain(own.get(key))}" for key in differing)
    return f"{fact.value.word} ({told})" if told else str(fact.value.word)


def _flat(spec: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """As it is typed behind the name of the group: `terms.dist.weight`."""
    for key, value in spec.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
