"""What the YAML of a loss says about it, or those of several losses added up. No torch: keys depend on it.

A loss says what it `needs`, and may bring a weight of its own: then the student is trained with
`hard_weight` · hard + `weight` · soft, as in its paper, and alpha is not used. Losses without a weight share
`(1 - alpha)` · hard + `alpha` · soft. Where both kinds are added up, alpha says what the hard loss weighs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill_cli.config.nearest import nearest
from distill_cli.config.targets import TARGET
from distill_cli.errors import ConfigError

Spec = Mapping[str, Any]
TERMS = "terms"  # the key under which several losses stand
NEEDS = ("labels", "logits", "embedding", "features", "previous")  # the first: nothing of a teacher
OF_TEACHER = frozenset({"logits", "embedding", "features"})
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
        """`key` is what a user types for it: `loss`, or `loss.terms.kd`. Raises `ConfigError`."""
        needs = str(spec.get("needs", "logits"))
        if TARGET not in spec:
            raise ConfigError(f"{key} has no _target_: a loss, or `{TERMS}` with a loss each")
        if needs not in NEEDS:
            near = nearest(needs, NEEDS)
            remedy = f"did you mean {near}?" if near else f"must be one of {', '.join(NEEDS)}"
            raise ConfigError(f"{key}.needs={needs}: {remedy}")
        hard_weight = _weight(spec, "hard_weight", key)
        return cls(
            name=str(spec.get("name") or key.rpartition(".")[2]),
            spec=_bare(spec),
            needs=needs,
            weight=_weight(spec, "weight", key),
            hard_weight=1.0 if hard_weight is None else hard_weight,
            weight_schedule=spec.get("weight_schedule"),
            layers=_layers(spec.get("layers"), key),
            preactivation=bool(spec.get("preactivation", False)),
            views=_views(spec.get("views", 1), key),
            reuses_classifier=bool(spec.get("reuses_classifier", False)),
        )


def terms_of(loss: Spec) -> tuple[LossTerm, ...]:
    """Raises `ConfigError` for what is no sum of losses."""
    if TERMS not in loss:
        return (LossTerm.of(loss, "loss"),)
    terms = loss[TERMS]
    if not isinstance(terms, Mapping) or not terms:
        raise ConfigError(f"loss.{TERMS} must name losses: {{kd: {{...}}, attention_transfer: {{...}}}}")
    return tuple(LossTerm.of({"name": name, **spec}, f"loss.{TERMS}.{name}") for name, spec in terms.items())


def uses_alpha(loss: Spec) -> bool:
    """Whether any loss goes by alpha."""
    return any(term.weight is None for term in terms_of(loss))


def reuses_classifier(loss: Spec) -> bool:
    """Whether the student ends in its teacher's classifier."""
    return any(term.reuses_classifier for term in terms_of(loss))


def needs(loss: Spec) -> frozenset[str]:
    """What all of it needs together. An embedding or features come with logits."""
    return frozenset(term.needs for term in terms_of(loss))


def hard_weight(loss: Spec) -> float:
    """What the hard loss counts where nothing goes by alpha. Raises `ConfigError` where something does."""
    of_sum = _weight(loss, "hard_weight", "loss") if TERMS in loss else None
    if of_sum is not None and uses_alpha(loss):
        raise ConfigError(f"loss.hard_weight={of_sum:g}: a loss of this sum goes by alpha; use alpha instead")
    return terms_of(loss)[0].hard_weight if of_sum is None else of_sum


def _bare(spec: Spec) -> dict[str, Any]:
    """What is handed to the loss, and to a loss within it."""
    return {
        key: _bare(value) if isinstance(value, Mapping) else value
        for key, value in spec.items()
        if key not in OF_THE_TERM
    }


def _weight(spec: Spec, field: str, key: str) -> float | None:
    value = spec.get(field)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
        raise ConfigError(f"{key}.{field}={value}: must be a number from 0, or null")
    return None if value is None else float(value)


def _views(value: object, key: str) -> int:
    if type(value) is not int or not 1 <= value <= 2:
        raise ConfigError(f"{key}.views={value}: must be 1 or 2, views of a sample in a step")
    return value


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
