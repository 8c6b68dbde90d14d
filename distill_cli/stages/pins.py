"""What `distill lock` takes down of a plan: the inputs of each artefact, and the files that came out. No torch.

The inputs are the identities behind the keys, with the data set and what one artefact takes from another said
once, so that a changed picture is one line in a diff and not one in each artefact.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.keys import Identity, canonical_json, differing
from distill_cli.artifacts.lockfile import Lock, Pinned
from distill_cli.artifacts.store import BUILD_NOTES, Place, read_manifest
from distill_cli.config.environment import NOT_KEPT
from distill_cli.config.lineage import MEMBERS
from distill_cli.errors import ArtifactError
from distill_cli.plan import Plan
from distill_cli.soft_labels.label_set import LabelSet

OF_OTHERS = (  # said elsewhere in a lock
    *("stage", "data", "teacher", "student", "baseline"),
    *("teacher_logits", "chain"),
)
OF_THE_DATA = ("classes", "mean", "std", "image_shape")  # in the identity of an imported teacher
IN_ORDER = ("teacher", "soft_labels", "student")  # of the work: roles whose inputs are compared


@dataclass(frozen=True)
class Part:
    """An artefact that a lock may name."""

    role: str  # teacher, soft_labels, student; `teacher 2`, `assistant mlp`, `soft_labels of assistant mlp`
    verb: str  # what makes it
    place: Place
    labels: LabelSet | None = None


def ancestry(plan: Plan) -> list[Part]:
    """The student, after what it is made from."""
    if not plan.is_taught:
        return [Part("student", "distill", plan.student)]
    found = teachers(plan)
    for link in plan.links:
        whose = f" of {link.taught_by.role}" if link.taught_by else ""
        labels = [member.labels for member in link.members] if link.reads_labels else []
        names = _numbered(f"soft_labels{whose}", len(labels))
        found += [Part(name, "gen-soft-labels", of.place, of) for name, of in zip(names, labels, strict=True)]
        found.append(Part("student" if link is plan else link.role, "distill", link.student))
    return found


def teachers(plan: Plan) -> list[Part]:
    """Those that no student was before."""
    places = [member.teacher for member in plan.first.members]
    named = zip(_numbered("teacher", len(places)), places, strict=True)
    return [Part(name, "train-teacher", place) for name, place in named]


def baseline(plan: Plan) -> Part:
    return Part("baseline", "baseline", plan.baseline)


def evaluation(plan: Plan) -> Part:
    return Part("evaluation", "evaluate", plan.evaluation())


def is_of(role: str, section: str) -> bool:
    """Whether a part has its inputs in this section of a lock."""
    return role.partition(" ")[0] == section


def _numbered(role: str, count: int) -> list[str]:
    return [role] if count == 1 else [f"{role} {number}" for number in range(1, count + 1)]


def inputs_of(plan: Plan, section: str) -> dict[str, Any]:
    """What goes into an artefact beyond those that it reads, as JSON has it; of `data`, the data set itself."""
    match section:
        case "data":
            found = _data(plan)
        case "teacher":
            found = _of_teachers(plan.first)
        case "soft_labels":
            found = _own(plan.first.members[0].labels.place.identity)  # all have the same
        case "student":
            found = _of_student(plan)
        case _:
            found = _own(plan.evaluation().identity)
    plain: dict[str, Any] = json.loads(canonical_json(found))
    return plain


def _of_teachers(plan: Plan) -> dict[str, Any]:
    """Of several one recipe, with the model and the checkpoint of each."""
    each = [{"checkpoint": None, **_own(member.teacher.identity)} for member in plan.members]
    if len(each) == 1:
        return each[0]
    models = dict(zip(plan.config.teacher.model[MEMBERS], (one["model"] for one in each), strict=True))
    recipe = next((one for one in each if one["checkpoint"] is None), each[0])
    checkpoints = [one["checkpoint"] for one in each]
    return {**recipe, "model": {MEMBERS: models}, "checkpoint": checkpoints if any(checkpoints) else None}


def _of_student(plan: Plan) -> dict[str, Any]:
    """As it would be without assistants and generations, and these."""
    found = _own(plan.student.identity)
    if not plan.distils:
        return {**found, "distillation": {"alpha": plan.config.alpha_schedule}}
    config = plan.config
    seed = min(link.config.student.seed for link in plan.links)
    models = [link.student.identity["model"] for link in plan.links[: -config.generations]]
    several = dict(zip((config.assistant or {}).get(MEMBERS, ()), models, strict=False))
    assistant = {"assistant": {MEMBERS: several} if several else models[0]} if models else {}
    generations = {"generations": config.generations} if config.generations > 1 else {}
    return {**found, "seed": seed, **assistant, **generations}


def _data(plan: Plan) -> dict[str, Any]:
    """Fingerprint and preprocessing; the settings that they come from explain a difference, and decide nothing."""
    unsaid = {"name", "_target_", *(key.removeprefix("data.") for key in NOT_KEPT)}
    settings = {key: value for key, value in plan.config.data.items() if key not in unsaid}
    return {"name": plan.data.name, "settings": settings, **plan.student.identity["data"]}


def _own(identity: Identity) -> dict[str, Any]:
    own = {key: value for key, value in identity.items() if key not in (*OF_OTHERS, *OF_THE_DATA)}
    if own.get("distillation"):
        taught = own["distillation"]
        own["distillation"] = {k: v for k, v in taught.items() if k not in ("teacher", "soft_labels")}
    return own


def pin(part: Part) -> Pinned:
    """Raises `ArtifactError` where the artefact is not complete."""
    place = part.place
    if part.labels is not None:
        return Pinned(place.name, place.key, _shards(part.labels), built_with={})
    if not place.is_complete():
        raise ArtifactError(f"the {part.role} {place.name} is not there")
    files = read_manifest(place.directory)["files"]
    return Pinned(place.name, place.key, files, _built_with(place))


def _shards(labels: LabelSet) -> dict[str, dict[str, Any]]:
    """There may be thousands, so they are folded: the digest of what `sha256sum` prints of them, by name."""
    labels.check_identity()
    seals: dict[str, dict[str, Any]] = {part: {} for part in labels.parts}
    for shard in labels.shards():
        seals[shard.part][str(shard.path.relative_to(labels.place.directory))] = shard.seal()
    return {
        part: {
            "bytes": sum(seal.bytes for seal in of_part.values()),
            "sha256": sha256(
                "".join(f"{seal.sha256}  {name}\n" for name, seal in sorted(of_part.items())).encode()
            ).hexdigest(),
            "count": len(of_part),
        }
        for part, of_part in seals.items()
    }


def _built_with(place: Place) -> dict[str, str]:
    """Empty where nobody knows: build.json is for people, and may be gone."""
    with suppress(ArtifactError, KeyError, TypeError):
        return dict(read_json(place.directory / BUILD_NOTES)["environment"])
    return {}


def other_bytes(lock: Lock, plan: Plan, stages: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Files of what these stages made or read that are not the lock's: file, role, and what was built otherwise.

    What is not there is not compared: a student may outlive the soft labels that it was made from.
    """
    verbs = {re.sub(r"-\d+$", "", stage) for stage in stages}
    parts = [*ancestry(plan), *teachers(plan), baseline(plan)]
    for part in {
        part.role: part for part in parts if part.verb in verbs and part.role in lock.artifacts
    }.values():
        with suppress(ArtifactError):
            locked, found = lock.artifacts[part.role], pin(part)
            why = _built_otherwise(found.built_with, locked.built_with)
            for name in sorted(found.files.keys() & locked.files.keys()):
                if found.files[name] != locked.files[name]:
                    yield name, part.role.replace("_", " "), why


def _built_otherwise(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    for name, here, there in differing(ours, theirs):
        if here and there:
            return f"built with {name} {here}, locked {name} {there}"
    return ""
