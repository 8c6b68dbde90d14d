"""Which input is not what a lock says, by the name that a user types for it. No torch.

Keys decide: where they are equal nothing has changed, whatever the config looks like. Where one is not, the
identities say why, the first in the order of the work: data, teacher, soft labels, student, evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distill_cli.artifacts.keys import canonical_json, differing
from distill_cli.artifacts.lockfile import Lock
from distill_cli.config.overrides import ALIASES
from distill_cli.plan import Plan
from distill_cli.runtime.environment import describe_environment
from distill_cli.stages.pins import IN_ORDER, OF_THE_DATA, ancestry, inputs_of, is_of, teachers

LONGEST = 60  # of a value in a message
PARTS = ("train", "validation", "test")
TYPED = {  # the beginning of a path within an artefact's inputs, and what is typed for it
    "teacher.recipe": "teacher",
    "student.recipe": "student",
    "student.seed": "seed",
    "student.init.classes": "student.init",
    "soft_labels.encoding": "soft_labels",
    "student.distillation.source": "teacher_source",
    "student.distillation.average": "teacher.average",
    "student.distillation.weights": "teacher.weights",
    "student.distillation.filter": "teacher_filter",
    "student.distillation.peers": "peers",
    "student.transfer": "transfer",
    "student.assistant": "assistant",
    "student.generations": "generations",
    "student.distillation.loss": "loss",
    "student.distillation.temperature": "temperature_schedule",
    "student.distillation.temperature.start": "temperature",
    "student.distillation.alpha": "alpha_schedule",
    "student.distillation.alpha.start": "alpha",
    "evaluation.settings": "evaluate",
    **{f"{role}.views": "views" for role in ("soft_labels", "student")},
    **{f"{role}.precision": "precision" for role in ("teacher", "soft_labels", "student", "evaluation")},
}
FILES = {"teacher.checkpoint": "teacher.checkpoint", "student.init.weights": "student.init"}  # told by sha256
USUAL: Mapping[str, Any] = {
    "generations": 1,
    "init": {"weights": None, "classes": None},
    "transfer": {"classes": None, "without": None, "fraction": 1.0},
}  # of a student, if not said
FOLLOWING = (  # these are there or not with one teacher or several, and with one loss or another
    "student.distillation.average",
    "student.distillation.weights",
    "student.distillation.temperature",
    "student.distillation.alpha",
)
SHARED_VIEWS = {"teacher.views": "views", "teacher.views.seed": "teacher.seed"}  # with teacher.views=null

Choices = Mapping[str, str | None]
Entry = tuple[str, Any, Any]  # a path, and the value there: ours, theirs
Digests = str | list[str | None] | None  # of a checkpoint, or of those of several teachers


@dataclass(frozen=True)
class Change:
    """One input: what it is and was, and how to go back."""

    what: str
    remedy: str = "set it back"


@dataclass(frozen=True)
class _Comparison:
    lock: Lock
    plan: Plan
    choices: Choices  # of the command; the lock has its own

    def changes(self) -> Iterator[Change]:
        parts = {part.role: part for part in (*ancestry(self.plan), *teachers(self.plan))}
        ours = {role: part.place.key for role, part in parts.items()}
        theirs = {role: pinned.key for role, pinned in self.lock.artifacts.items()}
        changed = [section for section in IN_ORDER if self._has_changed(section, ours, theirs)]
        if changed:
            yield from self._of_data()
        for section in changed:
            yield from self._of(section)
        if "evaluation" in self.lock.inputs:
            yield from self._of("evaluation")

    def _has_changed(self, section: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
        """Where only one has it, the student's inputs say so."""
        here, there = (
            {role: key for role, key in keys.items() if is_of(role, section)} for keys in (ours, theirs)
        )
        return bool(here and there) and section in self.lock.inputs and here != there

    def _of_data(self) -> Iterator[Change]:
        ours, theirs = inputs_of(self.plan, "data"), self.lock.inputs["data"]
        name, changed = ours["name"], [key for key in ours if ours[key] != theirs.get(key)]
        if name != theirs.get("name"):
            yield Change(f"data is {name}, locked {theirs.get('name')}")
            return
        if not set(changed) - {"settings"}:
            return
        settings = list(differing(ours["settings"], theirs.get("settings"), "data"))
        if settings:
            yield from (Change(_difference(*one)) for one in settings)
            return
        if pictures := [part for part in PARTS if part in changed]:
            yield Change(f"the pictures of data {name} have changed ({', '.join(pictures)})", "put them back")
        for key, noun in (("labels", "labels"), ("classes", "class names")):
            if key in changed:
                yield Change(f"the {noun} of data {name} have changed", "put them back")
        if not pictures:  # else these follow
            yield from (
                Change(_difference(f"data.{k}", ours[k], theirs.get(k)))
                for k in OF_THE_DATA[1:]
                if k in changed
            )

    def _of(self, role: str) -> Iterator[Change]:
        usual = USUAL if role == "student" else {}
        ours, theirs = {**usual, **inputs_of(self.plan, role)}, {**usual, **self.lock.inputs[role]}
        for path, here, there in _telling(list(differing(ours, theirs, role))):
            if path == f"{role}.format":
                version = self.lock.versions.get("distill_cli")
                yield Change(
                    f"the format of the {role.replace('_', ' ')} is {here}, locked {there}",
                    f"install distill-cli {version}",
                )
            elif path in FILES:
                difference = f"{FILES[path]} has sha256 {_digits(here)}, locked {_digits(there)}"
                yield Change(difference, _way_back(here, there))
            else:
                yield Change(self._named(self._typed(path), here, there))

    def _typed(self, path: str) -> str:
        """The name of an override for a path in the inputs."""
        config = self.plan.config
        shares_views = config.teacher.views is None and not self.lock.choices.get("teacher.views")
        names = {**TYPED, **(SHARED_VIEWS if shares_views else {})}
        if inputs_of(self.plan, "student")["seed"] != config.seed:
            names["student.seed"] = "student.seed"
        beginning = path
        while beginning not in names and "." in beginning:
            beginning = beginning.rpartition(".")[0]
        return names.get(beginning, beginning) + path[len(beginning) :]

    def _named(self, name: str, here: Any, there: Any) -> str:
        """The choice of the config group that the setting lies in, where that is another one; else the setting."""
        groups = {**self.lock.choices, **self.choices}
        packages = {ALIASES.get(group, group).rpartition("@")[2]: group for group in groups}
        around = [package for package in packages if f"{name}.".startswith(f"{package}.")]
        if around:
            group = packages[max(around, key=len)]
            ours, theirs = self.choices.get(group), self.lock.choices.get(group)
            if ours != theirs:
                return _difference(group, ours, theirs)
        return _difference(name, here, there)


def changes(lock: Lock, plan: Plan, choices: Choices) -> list[Change]:
    """Inputs of the plan that the lock has otherwise, each once, the first of them upstream."""
    found = list(dict.fromkeys(_Comparison(lock, plan, choices).changes()))
    return found or [*_unexplained(lock, plan, choices)]


def is_of_another_student(lock: Lock, plan: Plan) -> bool:
    """Whether data set and student differ altogether: then no single input is worth naming."""
    model = lock.inputs["student"].get("model")
    return plan.data.name != lock.inputs["data"].get("name") and inputs_of(plan, "student")["model"] != model


def other_versions(lock: Lock) -> list[str]:
    """Libraries and machine that are not the lock's. No reason to stop: keys do not depend on them."""
    return [
        _difference(name, here, there)
        for name, here, there in differing(describe_environment(), lock.versions)
    ]


def _unexplained(lock: Lock, plan: Plan, choices: Choices) -> Iterator[Change]:
    """A key that differs though its inputs look the same: in another order, or with a field more in an identity."""
    key, locked = plan.student.key, lock.artifacts["student"].key
    if key != locked:
        others = [group for group in choices if choices[group] != lock.choices.get(group)]
        yield from (Change(_difference(group, choices[group], lock.choices.get(group))) for group in others)
        yield Change(f"the key of the student is {_digits(key)}, locked {_digits(locked)}")


def _telling(found: list[Entry]) -> list[Entry]:
    """Without what follows from another difference: from a teacher that only one side has, or has brought in, or
    from views that never come back."""
    by_path = {entry[0]: entry for entry in found}
    if None in by_path.get("teacher.checkpoint", ())[1:]:
        return [by_path["teacher.checkpoint"]]
    if "student.init.weights" in by_path:  # others may be for other classes
        found = [entry for entry in found if entry[0] != "student.init.classes"]
    source = by_path.get("student.distillation.source")
    if source and {"none", "peers"} & {*source[1:]}:  # the loss says it, or peers
        found.remove(source)
        source = None
    if source and None in source[1:]:
        return [entry for entry in found if entry[0].startswith("student.distillation.alpha")] or [source]
    if source and None in by_path.get("student.views.count", ())[1:]:
        found.remove(source)
    return [entry for entry in found if not (entry[0] in FOLLOWING and None in entry[1:])]


def _difference(name: str, here: Any, there: Any) -> str:
    return f"{name} is {_shown(here)}, locked {_shown(there)}"


def _way_back(checkpoint: Digests, locked: Digests) -> str:
    if locked is None:
        return "leave it out"
    return "give it again" if checkpoint is None else "put it back"


def _shown(value: Any) -> str:
    """As it is typed, but for what is too long."""
    if isinstance(value, list):
        value = [float(f"{each:.6g}") if isinstance(each, float) else each for each in value]
    text = value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _digits(digest: Digests) -> str:
    if isinstance(digest, list):
        return f"[{','.join(map(_digits, digest))}]"
    return digest[:12] if digest else "none"
