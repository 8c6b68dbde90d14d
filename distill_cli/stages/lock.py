"""`distill lock`: writes down what the student was made from and what came out, for git and CI.

`lock=FILE` holds every other verb to it (`Session`): exit code 4 where an input has changed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from distill_cli.artifacts.lockfile import DEFAULT, Lock, Pinned
from distill_cli.errors import ArtifactError
from distill_cli.plan import Plan
from distill_cli.runtime.console import say
from distill_cli.runtime.environment import describe_environment
from distill_cli.stages.held import require_no_directory
from distill_cli.stages.pins import ROLES, ancestry, inputs_of, pin, place_of
from distill_cli.stages.result import StageResult
from distill_cli.stages.session import Session

VERBS = {role: verb for verb, role in ROLES.items()}
OF_THIS_MACHINE = ("paths.", "lock=")  # words that mean nothing elsewhere


def main(config: DictConfig, output: Path) -> None:
    session = Session.of(config, is_held=False)
    result = run(session)
    session.write_result(output, result.document())
    session.suggest("run", f"lock={result.more['lock']}")


def run(session: Session) -> StageResult:
    """Raises `ArtifactError` where the student, or what it is made from, is not there."""
    plan, path = session.plan, _destination(session.plan)
    lock = lock_of(session)
    is_new = lock.write(path)
    files = sum(entry.get("count", 1) for one in lock.artifacts.values() for entry in one.files.values())
    status = "built" if is_new else "up-to-date"
    say(f"lock: {status} · {plan.student.name}, {len(lock.artifacts)} artefacts, {files} files · {path}")
    inputs = {VERBS[role]: lock.artifacts[role].key for role in ancestry(plan)[:-1]}
    return StageResult("lock", status, plan.student, inputs, metrics={}, more={"lock": str(path)})


def lock_of(session: Session) -> Lock:
    plan = session.plan
    artifacts = _artifacts(session)
    sections = ["data", *(role for role in artifacts if role != "baseline")]
    return Lock(
        inputs={role: inputs_of(plan, role) for role in sections},
        artifacts=artifacts,
        choices=session.choices,
        versions=describe_environment(),
        command=_portable(session).recipe("lock"),
    )


def _destination(plan: Plan) -> Path:
    path = Path(plan.config.lock or DEFAULT)
    require_no_directory(path)
    return path


def _artifacts(session: Session) -> dict[str, Pinned]:
    """The student with what it was made from, and what is there of baseline and evaluation."""
    plan = session.plan
    pinned = {role: _required(session, role) for role in ancestry(plan)}
    is_evaluated = plan.evaluation().is_complete()
    for role, belongs in (
        ("teacher", is_evaluated),
        ("baseline", plan.distils),
        ("evaluation", is_evaluated),
    ):
        if belongs and role not in pinned and place_of(plan, role).is_complete():
            pinned[role] = pin(plan, role)
    return pinned


def _required(session: Session, role: str) -> Pinned:
    try:
        return pin(session.plan, role)
    except ArtifactError as error:
        unlocked = _without(session, "lock=")
        raise ArtifactError(
            f"{str(error).partition('; ')[0]}; make it with: {unlocked.command(VERBS[role])}, "
            f"or everything with: {unlocked.command('run')}"
        ) from None


def _portable(session: Session) -> Session:
    """The words that mean the same in another checkout."""
    kept = _without(session, *OF_THIS_MACHINE)
    return replace(kept, words=tuple(_relative(word) for word in kept.words))


def _without(session: Session, *beginnings: str) -> Session:
    return replace(session, words=tuple(word for word in session.words if not word.startswith(beginnings)))


def _relative(word: str) -> str:
    """Absolute paths from here where they lie below; of others the last part."""
    key, equals, value = word.rpartition("=")
    path = Path(value)
    if not path.is_absolute():
        return word
    here = Path.cwd()
    return key + equals + (str(path.relative_to(here)) if path.is_relative_to(here) else f".../{path.name}")
