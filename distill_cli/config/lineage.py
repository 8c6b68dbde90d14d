"""Who teaches whom: the distillations that a config asks for, in their order, and the teachers that speak as one.

Several models in one place, `teacher=[resnet56,wrn_40_2]`, are one spec with `members`. Each has the recipe of that
place. Of a model named twice the second has the next seed, so that it is another one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from distill_cli.config.loss_terms import needs
from distill_cli.config.schema import Config, Spec, TeacherTraining, require
from distill_cli.errors import ConfigError

MEMBERS = "members"


def models_of(spec: Spec) -> list[Spec]:
    """The models of a place, in the order in which they were named."""
    return list(spec[MEMBERS].values()) if MEMBERS in spec else [spec]


def members_of(teacher: TeacherTraining) -> list[TeacherTraining]:
    """Each teacher by itself. Raises `ConfigError` where there is not a checkpoint for each, or for none."""
    models = models_of(teacher.model)
    checkpoints = teacher.checkpoint if isinstance(teacher.checkpoint, list) else [teacher.checkpoint]
    are_paths = all(isinstance(path, str | None) for path in checkpoints)
    rule = "must be a .safetensors file, one for each of several teachers ([A,B]), or null"
    require(are_paths, "teacher.checkpoint", teacher.checkpoint, rule)
    if teacher.checkpoint is None:
        checkpoints = [None] * len(models)
    if len(checkpoints) != len(models):
        who = f"{len(models)} teachers" if len(models) > 1 else "one teacher"
        example = ",".join(f"{letter}.safetensors" for letter, _ in zip("ABCDEFGH", models, strict=False))
        raise ConfigError(
            f"teacher.checkpoint names {len(checkpoints)} for {who} ({teacher.model.get('name', '')}); "
            f"name one for each: teacher.checkpoint=[{example}]"
        )
    return [
        replace(teacher, model=model, seed=teacher.seed + times, checkpoint=checkpoint, weights=None)
        for model, times, checkpoint in zip(models, _times(models), checkpoints, strict=True)
    ]


def weights_of(teacher: TeacherTraining, members: int) -> tuple[float, ...]:
    """What each member's opinion counts; they add up to 1. Raises `ConfigError`."""
    weights = teacher.weights
    if weights is None:
        return (1 / members,) * members
    require(members > 1, "teacher.weights", weights, "is for several teachers, teacher=[A,B]; leave it out")
    are_numbers = isinstance(weights, list) and all(type(w) in (int, float) and w >= 0 for w in weights)
    total = sum(weights) if are_numbers else 0
    rule = f"must be {members} numbers from 0, not all 0: [{','.join(['1'] * members)}]"
    require(0 < total < math.inf and len(weights) == members, "teacher.weights", weights, rule)
    return tuple(weight / total for weight in weights)


def links_of(config: Config) -> Iterator[Config]:
    """One config a distillation: of each assistant, then of each generation of the student.

    Of a model that stands there twice the second has the next seed. So the first generation is the student without
    generations, and nobody learns from a model that began as it does itself.
    """
    assistants = _assistants(config)
    models = [*assistants.values(), *[config.student.model] * config.generations]
    for number, (model, times) in enumerate(zip(models, _times(models), strict=True)):
        init = config.student.init if number >= len(assistants) else None
        seed = config.student.seed + times
        yield replace(config, student=replace(config.student, model=model, seed=seed, init=init))


def peers_of(config: Config) -> tuple[Spec, ...]:
    """Models that learn together with the student. Raises `ConfigError` for what means nothing then."""
    if not config.peers:
        return ()
    name, loss = config.peers.get("name", ""), config.loss.get("name", "")
    is_alone = not config.assistant and config.generations == 1
    rule = "learn from each other; assistant and generations mean nothing then, leave them out"
    require(is_alone, "peers", name, rule)
    rule = f"learn from each other's logits; loss={loss} needs something else, use a loss such as kd"
    require(needs(config.loss) == {"logits"}, "peers", name, rule)
    return tuple(models_of(config.peers))


def link_name(config: Config, number: int) -> str:
    """Of the distillations of a config, from 1, whose this is: `assistant mlp`, `generation 2 of 3`, `student`."""
    assistants = list(_assistants(config))
    if number <= len(assistants):
        return f"assistant {assistants[number - 1]}"
    if config.generations == 1:
        return "student"
    return f"generation {number - len(assistants)} of {config.generations}"


def _assistants(config: Config) -> dict[str, Spec]:
    """By their names, of which no two are alike."""
    if not config.assistant:
        return {}
    return config.assistant.get(MEMBERS) or {str(config.assistant.get("name", "")): config.assistant}


def _times(models: list[Spec]) -> list[int]:
    """How often each was named before."""
    return [models[:number].count(model) for number, model in enumerate(models)]
