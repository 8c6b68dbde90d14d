"""What the YAML of a loss says about it, or those of several losses added up. No torch: keys depend on it.

A loss says what it `needs`, and may bring a weight of its own: then the student is trained with
`hard_weight` · hard + `weight` · soft, as in its paper, and alpha is not used. Losses without a weight share
`(1 - alpha)` · hard + `alpha` · soft. Where both kinds are added up, alpha says what the hard loss weighs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill_cli.config.nearest import nearest
from distill_cli.config.targets import TARGET, without_labels
from distill_cli.errors import ConfigError

Spec = Mapping[str, Any]
TERMS = "terms"  # the key under which several losses stand
NEEDS = ("labels", "logits", "embedding", "features", "previous")  # the first: nothing of a teacher
OF_TEACHER = frozenset({"logits", "embedding", "features"})
SAY_LOGITS = ("logits", "previous")
OF_THE_TERM = (  # the others go to the loss
    "weight",
    "hard_weight",
    "weight_schedule",
    "layers",
    "preactivation",
    "views",
    "reuses_classifier",
)


@dataclass(frozen=True)
class LossTerm:
    """One loss of a sum."""

    key: str  # what a user types for it: `loss`, or `loss.terms.kd`
    name: str
    spec: Spec  # what is made of it
    needs: str  # of NEEDS
    weight: float | None  # None: it goes by alpha
    hard_weight: float
    weight_schedule: Spec | None  # of a factor on the weight; None: 1 all the time
    layers: tuple[tuple[str, str], ...] | None  # pairs of module paths, (student, teacher); None: the usual
    preactivation: bool  # of these layers it wants what goes into their last ReLU
    views: int  # of each sample that it wants to see in a step
    reuses_classifier: bool  # the student ends in its teacher's classifier

    @classmethod
    def of(cls, spec: Spec, key: str) -> LossTerm:
        """Raises `ConfigError`."""
        if TARGET not in spec:
            raise ConfigError(f"{key} has no _target_: a loss, or `{TERMS}` with a loss each")
        needs = _needs(spec, key)
        _check_within(spec, key)
        hard_weight = _weight(spec, "hard_weight", key)
        return cls(
            key=key,
            name=str(spec.get("name") or key.rpartition(".")[2]),
            spec=_bare(spec),
            needs=needs,
            weight=_weight(spec, "weight", key),
            hard_weight=1.0 if hard_weight is None else hard_weight,
            weight_schedule=_weight_schedule(spec, key),
            layers=_layers(spec.get("layers"), key),
            preactivation=_flag(spec, "preactivation", key),
            views=_views(spec, key),
            reuses_classifier=_flag(spec, "reuses_classifier", key),
        )

    @property
    def has_own_temperature(self) -> bool:
        return "temperature" in self.spec

    @property
    def uses_temperature(self) -> bool:
        """Whether that of the config may come to bear on it: it softens logits that somebody says."""
        return self.needs in SAY_LOGITS and not self.has_own_temperature


def terms_of(loss: Spec) -> tuple[LossTerm, ...]:
    """By their names, in whatever order they were typed. Raises `ConfigError` for what is no sum of losses."""
    if TERMS not in loss:
        return (LossTerm.of(loss, "loss"),)
    terms = loss[TERMS]
    if not isinstance(terms, Mapping) or not terms:
        raise ConfigError(f"loss.{TERMS} must name losses: {{kd: {{...}}, attention_transfer: {{...}}}}")
    return tuple(LossTerm.of({**terms[name], "name": name}, f"loss.{TERMS}.{name}") for name in sorted(terms))


def uses_alpha(loss: Spec) -> bool:
    """Whether any loss goes by alpha."""
    return any(term.weight is None for term in terms_of(loss))


def uses_temperature(loss: Spec) -> bool:
    """Whether the config's temperature may be of importance to any."""
    return any(term.uses_temperature for term in terms_of(loss))


def reuses_classifier(loss: Spec) -> bool:
    """Whether the student ends in its teacher's classifier."""
    return any(term.reuses_classifier for term in terms_of(loss))


def needs(loss: Spec) -> frozenset[str]:
    """What all of it needs together. An embedding or features come with logits."""
    return frozenset(term.needs for term in terms_of(loss))


def hard_weight(loss: Spec) -> float:
    """What the hard loss counts where nothing goes by alpha.

    Raises `ConfigError` where something does and it is given, or where the losses of a sum do not agree.
    """
    terms = terms_of(loss)
    given = _weight(loss, "hard_weight", "loss")
    by_alpha = next((term.name for term in terms if term.weight is None), None)
    if given is not None and by_alpha and (TERMS in loss or "weight" not in loss):
        raise ConfigError(
            f"loss.hard_weight={given:g}: {by_alpha} goes by alpha, which sets it; use alpha instead"
        )
    if given is None and by_alpha is None and len({term.hard_weight for term in terms}) > 1:
        each = ", ".join(f"{term.name} {term.hard_weight:g}" for term in terms)
        raise ConfigError(f"loss={loss.get('name')}: hard weights differ ({each}); set loss.hard_weight")
    return terms[0].hard_weight if given is None else given


def wants_labels(loss: Spec, alphas: Sequence[float]) -> bool:
    """Whether hard labels ever have a weight, by themselves or in a loss without a teacher."""
    terms = terms_of(loss)
    if not any(alphas) or any(term.needs == "labels" for term in terms):
        return True
    by_alpha = [term for term in terms if term.weight is None]
    if not by_alpha:
        return hard_weight(loss) > 0
    return min(alphas) < 1 or any(term.weight_schedule is not None for term in by_alpha)


def identity_of(loss: Spec) -> dict[str, Any]:
    """A loss as it goes into an identity: with what it listens to, where that is not a teacher's logits."""
    needs = str(loss.get("needs", "logits"))
    terms = {TERMS: {name: identity_of(spec) for name, spec in loss[TERMS].items()}} if TERMS in loss else {}
    return {**without_labels(loss), **terms, **({"needs": needs} if needs != "logits" else {})}


def _bare(spec: Spec) -> dict[str, Any]:
    """What is handed to the loss, and to a loss within it."""
    return {
        key: _bare(value) if isinstance(value, Mapping) else value
        for key, value in spec.items()
        if key not in OF_THE_TERM
    }


def _needs(spec: Spec, key: str) -> str:
    needs = str(spec.get("needs", "logits"))
    if needs not in NEEDS:
        near = nearest(needs, NEEDS)
        remedy = f"did you mean {near}?" if near else f"must be one of {', '.join(NEEDS)}"
        raise ConfigError(f"{key}.needs={needs}: {remedy}")
    return needs


def _check_within(spec: Spec, key: str) -> None:
    """A loss within a loss is shown what that one makes of logits, and nothing else."""
    for field, inner in _within(spec).items():
        if inner.get(TARGET) == spec.get(TARGET):
            name = inner.get("name", "this loss")
            raise ConfigError(f"{key}.{field}={name}: {name} within itself; choose another loss, such as kd")
        if (needs := _needs(inner, f"{key}.{field}")) != "logits":
            name = inner.get("name", "this loss")
            raise ConfigError(
                f"{key}.{field}={name}: {name} needs {needs}; choose a loss that needs logits, such as kd"
            )


def _within(spec: Spec) -> dict[str, Spec]:
    """The losses within a loss, by the argument that they are."""
    return {field: inner for field, inner in spec.items() if isinstance(inner, Mapping) and "needs" in inner}


def _weight(spec: Spec, field: str, key: str) -> float | None:
    value = spec.get(field)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if value is not None and not (is_number and value >= 0):
        raise ConfigError(f"{key}.{field}={value}: must be a number from 0, or null")
    return None if value is None else float(value)


def _weight_schedule(spec: Spec, key: str) -> Spec | None:
    """Its own, or that of a loss within it."""
    value = spec.get("weight_schedule")
    if value is None:
        within = (_weight_schedule(inner, f"{key}.{field}") for field, inner in _within(spec).items())
        return next((schedule for schedule in within if schedule is not None), None)
    if isinstance(value, Mapping) and TARGET in value:
        return value
    example = "{_target_: distill_cli.schedules.Linear, start: 0.0, end: 1.0}"
    raise ConfigError(f"{key}.weight_schedule={value}: must be a schedule, such as {example}, or null")


def _flag(spec: Spec, field: str, key: str) -> bool:
    value = spec.get(field, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{key}.{field}={value}: must be true or false")
    return value


def _views(spec: Spec, key: str) -> int:
    """As many as it wants, or a loss within it."""
    value = spec.get("views", 1)
    if type(value) is not int or not 1 <= value <= 2:
        raise ConfigError(f"{key}.views={value}: must be 1 or 2, views of a sample in a step")
    return max([value, *(_views(inner, f"{key}.{field}") for field, inner in _within(spec).items())])


def _layers(value: object, key: str) -> tuple[tuple[str, str], ...] | None:
    if value is None:
        return None
    is_pairs = isinstance(value, list | tuple) and all(_is_pair(pair) for pair in value)
    if not value or not is_pairs:
        example = "[[layer1,layer1],[layer2,layer3]]"
        raise ConfigError(
            f"{key}.layers={value}: must be pairs of the student's and the teacher's: {example}"
        )
    return tuple((str(student), str(teacher)) for student, teacher in value)  # type: ignore[attr-defined]


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(v, str) for v in value)
