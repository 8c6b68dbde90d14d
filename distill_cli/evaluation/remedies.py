"""What to type against each cause for which a student stays behind. It follows from the config. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_cli.config.lineage import models_of
from distill_cli.config.loss_terms import Spec, terms_of
from distill_cli.config.schema import Config, Training
from distill_cli.config.targets import instantiate
from distill_cli.evaluation.diagnosis import MOST_ALPHA
from distill_cli.evaluation.evidence import Remedies
from distill_cli.schedules import Learned, values_of

WIDER = 2  # times the units of a student that is too small; look again after that
TEACHER_WIDER = 4  # a teacher that leads has several times its student's parameters
LONGER = 3  # times the epochs: after that, either the loss is flat or the next report says so again
LIGHTER = 0.1  # times the weight of a loss that drowns the hard one
CLIP_NORM = 1.0  # of gradients, where a training broke down
SLOWER = 0.1  # times the learning rate, where they are clipped already
LARGER = "NAME_OF_A_LARGER_MODEL"
BETTER = "BETTER.safetensors"
MIXING = "cutmix"  # an overconfident teacher says more about it than about mixup (docs/diagnosis.md)


def remedies(config: Config, temperature: float | None, parameters_ratio: float) -> Remedies:
    """`temperature`: one at which the soft labels say something; `parameters_ratio`: teacher's by student's."""
    softer = f"temperature={config.temperature if temperature is None else temperature:g}"
    if moves(config.temperature_schedule):  # which only starts from `temperature`
        softer = f"temperature_schedule=constant {softer}"
    is_mixed = (config.views.get("mixing") or {}).get("name") == MIXING
    return Remedies(
        larger_student=_larger_student(config, parameters_ratio),
        longer_training=_longer("student", config.student),
        better_teacher=_better_teacher(config, parameters_ratio),
        more_alpha=f"alpha={MOST_ALPHA:g}" if config.alpha < MOST_ALPHA else "alpha_schedule=constant",
        temperature=softer,
        telling_views=softer if is_mixed else f"views.mixing={MIXING} {softer}",
        longer_teacher=_longer_teacher(config),
        lighter_loss=_lighter(config.loss),
        steadier_training=_steadier(config.student),
    )


def moves(schedule: Mapping[str, Any]) -> bool:
    """Whether it ever leaves the value from which it starts."""
    found = instantiate(schedule)
    return isinstance(found, Learned) or len(set(values_of(found))) > 1


def _larger_student(config: Config, parameters_ratio: float) -> str:
    """Wider; or its teacher's model, where that is one, another one and larger."""
    student, teacher = (role.model.get("name") for role in (config.student, config.teacher))
    is_one = teacher is not None and len(models_of(config.teacher.model)) == 1
    is_larger = is_one and teacher != student and parameters_ratio > 1
    return _wider("student", config.student.model, WIDER) or f"student={teacher if is_larger else LARGER}"


def _better_teacher(config: Config, parameters_ratio: float) -> str:
    checkpoint = config.teacher.checkpoint
    if isinstance(checkpoint, list):  # of several teachers, one for each
        return f"teacher.checkpoint=[{','.join([BETTER] * len(checkpoint))}]"
    if checkpoint is not None:
        return f"teacher.checkpoint={BETTER}"
    if parameters_ratio >= TEACHER_WIDER:
        return _longer("teacher", config.teacher)
    return _wider("teacher", config.teacher.model, TEACHER_WIDER) or f"teacher={LARGER}"


def _longer_teacher(config: Config) -> str | None:
    """As long as its student, where that is more than the usual."""
    teacher, student = config.teacher, config.student
    if teacher.checkpoint is not None or teacher.epochs >= student.epochs:
        return None
    return _longer("teacher", teacher, max(LONGER, -(-student.epochs // teacher.epochs)))


def _lighter(loss: Spec) -> str | None:
    words = (f"{term.key}.weight={LIGHTER * term.weight:g}" for term in terms_of(loss) if term.weight)
    return " ".join(words) or None


def _steadier(recipe: Training) -> str:
    if recipe.clip_norm is None or recipe.clip_norm > CLIP_NORM:
        return f"student.clip_norm={CLIP_NORM:g}"
    return f"student.optimizer.lr={SLOWER * recipe.optimizer['lr']:g}"


def _wider(role: str, model: Mapping[str, Any], factor: int) -> str | None:
    """None for a model without a width in its config."""
    width, widths = model.get("width"), model.get("widths")
    if isinstance(width, int):
        return f"{role}.model.width={factor * width}"
    if isinstance(widths, list):
        return f"{role}.model.widths=[{','.join(str(factor * each) for each in widths)}]"
    return None


def _longer(role: str, recipe: Training, times: int = LONGER) -> str:
    """More epochs, and the milestones of the learning rate where they would be then."""
    longer = f"{role}.epochs={times * recipe.epochs}"
    milestones = recipe.lr_schedule.get("milestones")
    if not milestones:
        return longer
    moved = ",".join(f"{times * each:g}" for each in milestones)
    return f"{longer} {role}.lr_schedule.milestones=[{moved}]"
