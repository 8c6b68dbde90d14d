"""`distill distill`: a student artefact. With `alpha=0` it is the baseline, and needs no teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from distill_cli.config.loss_terms import hard_weight, terms_of, uses_alpha
from distill_cli.config.schema import Spec
from distill_cli.errors import ArtifactError
from distill_cli.plan import Plan
from distill_cli.runtime.console import say
from distill_cli.soft_labels.absence import explain_absence
from distill_cli.stages.ensure import Built
from distill_cli.stages.fidelity import check_fidelity
from distill_cli.stages.result import StageResult
from distill_cli.stages.session import Session
from distill_cli.stages.summary import summary
from distill_cli.stages.tracking import ensure_tracked

if TYPE_CHECKING:
    from distill_cli.training.loop import OnEpoch


def main(config: DictConfig, output: Path) -> float | None:
    session = Session.of(config)
    result = run(session)
    session.write_result(output, result.document())
    session.suggest("evaluate")
    return result.metrics.get("validation_top1")


def run(session: Session) -> StageResult:
    """The student that the config asks for."""
    plan = session.plan
    if not plan.distils:
        _say_what_is_left_out(session)
        return run_baseline(session)

    def build(on_epoch: OnEpoch) -> Built:
        _check_inputs(session)
        from distill_cli.stages.jobs.train import train_student

        return train_student(plan, on_epoch)

    _say_what_is_not_used(session)
    inputs = student_inputs(plan)
    result = ensure_tracked(session, "student", plan.student, inputs, build, session.recipe("run"))
    say(summary(plan.role, result))
    return result


def run_baseline(session: Session) -> StageResult:
    """The same student without a teacher."""
    plan = session.plan
    command = session.recipe("run" if plan.distils else "distill")

    def build(on_epoch: OnEpoch) -> Built:
        from distill_cli.stages.jobs.train import train_baseline

        return train_baseline(plan, on_epoch)

    result = ensure_tracked(session, "baseline", plan.baseline, {}, build, command)
    say(summary("baseline", result))
    return result


def student_inputs(plan: Plan) -> dict[str, str]:
    if not plan.is_taught:
        return {}
    teacher = {"train-teacher": plan.teacher.key}
    if plan.teacher_is_online:
        return teacher
    keys = [member.labels.place.key for member in plan.members]
    names = [f"gen-soft-labels-{number}" for number, _ in enumerate(keys, 1)]
    return {**teacher, **dict(zip(names if len(keys) > 1 else ["gen-soft-labels"], keys, strict=True))}


def _check_inputs(session: Session) -> None:
    """What the student learns from must be there before torch is imported."""
    if session.plan.is_taught:
        for member in session.plan.members:
            _check_teacher(replace(session, plan=member))


def _say_what_is_not_used(session: Session) -> None:
    """Once a command, to a user who set it, where the loss does without alpha or temperature."""
    plan = session.plan
    if plan.taught_by is not None:
        return
    name = plan.config.loss.get("name")
    if not plan.uses_alpha and (typed := _typed(session, "alpha")):
        say(f"{typed} is not used: loss={name} weighs {_weights(plan.config.loss)}")
    if not plan.uses_temperature and (typed := _typed(session, "temperature")):
        own = [f"{term.key}.temperature" for term in terms_of(plan.config.loss) if term.has_own_temperature]
        say(f"{typed} is not used: loss={name} has {', '.join(own) or 'no temperature'}")


def _say_what_is_left_out(session: Session) -> None:
    """At alpha = 0 whatever the loss, to a user who set that for one which does without alpha."""
    loss = session.plan.config.loss
    if not uses_alpha(loss) and (typed := _typed(session, "alpha")):
        name = loss.get("name")
        say(f"{typed} at 0 is the baseline: loss={name} is left out; above 0 it weighs {_weights(loss)}")


def _typed(session: Session, name: str) -> str | None:
    """The first override of it or of its schedule."""
    keys = (word.partition("=")[0] for word in session.words)
    return next((key for key in keys if key.partition(".")[0] in (name, f"{name}_schedule")), None)


def _weights(loss: Spec) -> str:
    terms = terms_of(loss)
    soft = " + ".join(f"{term.weight:g}" for term in terms)
    key = "loss.weight" if len(terms) == 1 else "loss.terms.NAME.weight"
    return f"hard {hard_weight(loss):g} : soft {soft} by itself (loss.hard_weight, {key})"


def _check_teacher(session: Session) -> None:
    plan = session.plan
    needs_model = plan.teacher_is_online or plan.needs & {"embedding"}  # whose classifier is looked at
    if needs_model and not plan.teacher.is_complete():
        raise ArtifactError(session.teacher_is_missing())
    if plan.teacher_is_online:
        return
    if not plan.labels.is_complete():
        if plan.taught_by is not None and not plan.teacher.is_complete():
            raise ArtifactError(session.teacher_is_missing())  # whose labels cannot be made either
        why = explain_absence(plan.labels, plan.labels.missing())
        raise ArtifactError(f"{why}; make them with: {session.command('gen-soft-labels')}")
    check_fidelity(plan)
