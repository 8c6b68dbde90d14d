"""A command that is held to a lock: its inputs before anything is built, the bytes of what it made or read after.

Other inputs are an error. Other bytes from the same inputs are a line: another machine, library or number of
threads may round otherwise, and nothing that the user wrote is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_cli.artifacts.lockfile import DEFAULT, Lock, read_lock
from distill_cli.errors import ArtifactError, ConfigError
from distill_cli.plan import Plan
from distill_cli.runtime.console import say
from distill_cli.stages.changes import Choices, changes, is_of_another_student, other_versions
from distill_cli.stages.pins import other_bytes


@dataclass(frozen=True)
class Held:
    path: Path
    lock: Lock

    @classmethod
    def to(cls, path: Path, plan: Plan, choices: Choices, command: Callable[..., str]) -> Held:
        """`command` is what to type for a verb. Raises `ArtifactError` where inputs are not the lock's."""
        require_no_directory(path)
        relock = command("lock")
        if not path.exists():
            raise ConfigError(f"lock={path}: there is no such file; write it with: {relock}")
        lock = read_lock(path, f"write the lock anew: {relock}")
        if is_of_another_student(lock, plan):
            other = f"{lock.artifacts['student'].label} on {lock.inputs['data'].get('name')}"
            mine = command("lock", "lock=OTHER.json")
            raise ArtifactError(
                f"{path} is the lock of another student: {other}, written by: {lock.command}; "
                f"write one for this: {mine}"
            )
        if found := changes(lock, plan, choices):
            first = found[0]
            raise ArtifactError(
                f"{path}: {first.what}{_more(found)}; {first.remedy}, or write the lock anew: {relock}"
            )
        if versions := other_versions(lock):
            say(f"{path}: {versions[0]}{_more(versions)}: the same inputs may give other bytes")
        return cls(path, lock)

    def compare(self, plan: Plan, document: Mapping[str, Any]) -> dict[str, Any]:
        """What result.json says of the lock, after the stages that the document names."""
        stages = {document["stage"], *document["inputs"], *document.get("stages", {})}
        found = list(other_bytes(self.lock, plan, stages))
        if found:
            name, role, why = found[0]
            reason = f"; {why}" if why else ""
            say(f"{self.path}: same inputs, other bytes: {name} of the {role}{_more(found)}{reason}")
        return {"file": str(self.path), "other_bytes": [f"{role}/{name}" for name, role, _ in found]}


def require_no_directory(path: Path) -> None:
    """Raises `ConfigError` with a file to name instead."""
    if path.is_dir():
        raise ConfigError(f"lock={path} is a directory; name a file in it, such as lock={path / DEFAULT}")


def refuse_other_data(path: Path, name: str) -> None:
    """For a data set that cannot be opened. Raises `ArtifactError` where it is not the lock's either."""
    if not path.is_file():
        return
    theirs = read_lock(path, "write the lock anew with: distill lock").inputs["data"].get("name")
    if theirs != name:
        raise ArtifactError(f"{path}: data is {name}, locked {theirs}; set it back, or take another lock")


def _more(found: Sequence[Any]) -> str:
    return f", and {len(found) - 1} more" if found[1:] else ""
