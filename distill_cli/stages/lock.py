"""`distill lock`: writes down what the student was made from and what came out, for git and CI.

`lock=FILE` holds every other verb to it (`Session`): exit code 4 where an input has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from distill_cli.artifacts.lockfile import DEFAULT, Lock, Pinned
from distill_cli.errors import ArtifactError
from distill_cli.plan import Plan
from distill_cli.runtime.console import say
from distill_cli.runtime.environment import describe_environment
from distill_cli.stages.held import require_no_directory
from distill_cli.stages.pins import (
    IN_ORDER,
    Part,
    ancestry,
    baseline,
    evaluation,
    inputs_of,
    is_of,
    pin,
    teachers,
)
from distill_cli.stages.result import StageResult
from distill_cli.stages.session import Session

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
    inputs = _by_verb(ancestry(plan)[:-1])
    return StageResult("lock", status, plan.student, inputs, metrics={}, more={"lock": str(path)})


def lock_of(session: Session) -> Lock:
    plan = session.plan
    artifacts = _artifacts(session)
    found = [section for section in IN_ORDER if any(is_of(role, section) for role in artifacts)]
    sections = ["data", *found, *({"evaluation"} & artifacts.keys())]
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
    pinned = {part.role: _required(session, part) for part in ancestry(plan)}
    report = evaluation(plan)
    of_report = [*teachers(plan), report] if report.place.is_complete() else []
    for part in (*of_report, *([baseline(plan)] if plan.distils else [])):
        if part.role not in pinned and part.place.is_complete():
            pinned[part.role] = pin(part)
    return pinned


def _by_verb(parts: Sequence[Part]) -> dict[str, str]:
    """Keys; where a verb has made several, by their numbers."""
    keys: dict[str, list[str]] = {}
    for part in parts:
        keys.setdefault(part.verb, []).append(part.place.key)
    return {
        f"{verb}-{number}" if len(several) > 1 else verb: key
        for verb, several in keys.items()
        for number, key in enumerate(several, 1)
    }


def _required(session: Session, part: Part) -> Pinned:
    try:
        return pin(part)
    except ArtifactError as error:
        unlocked = _without(session, "lock=")
        alone = "" if session.plan.taught_by else f"{unlocked.command(part.verb)}, or everything with: "
        raise ArtifactError(
            f"{str(error).partition('; ')[0]}; make it with: {alone}{unlocked.command('run')}"
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
