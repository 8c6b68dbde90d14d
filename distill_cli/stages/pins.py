"""What `distill lock` takes down of a plan: the inputs of each artefact, and the files that came out. No torch.

The inputs are the identities behind the keys, with the data set and what one artefact takes from another said
once, so that a changed picture is one line in a diff and not one in each artefact.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.keys import Identity, canonical_json, differing
from distill_cli.artifacts.lockfile import Lock, Pinned
from distill_cli.artifacts.store import BUILD_NOTES, Place, read_manifest
from distill_cli.config.environment import NOT_KEPT
from distill_cli.errors import ArtifactError
from distill_cli.plan import Plan
from distill_cli.soft_labels.label_set import LabelSet

OF_OTHERS = ("stage", "data", "teacher", "student", "baseline", "teacher_logits")  # said elsewhere in a lock
OF_THE_DATA = ("classes", "mean", "std", "image_shape")  # in the identity of an imported teacher
ROLES = {
    "train-teacher": "teacher",
    "gen-soft-labels": "soft_labels",
    "distill": "student",
    "baseline": "baseline",
}


def ancestry(plan: Plan) -> list[str]:
    """The student, after what it is made from."""
    if not plan.distils:
        return ["student"]
    return ["teacher", "student"] if plan.teacher_is_online else ["teacher", "soft_labels", "student"]


def place_of(plan: Plan, role: str) -> Place:
    match role:
        case "teacher":
            return plan.teacher
        case "soft_labels":
            return plan.labels.place
        case "baseline":
            return plan.baseline
        case "evaluation":
            return plan.evaluation()
        case _:
            return plan.student


def inputs_of(plan: Plan, role: str) -> dict[str, Any]:
    """What goes into an artefact beyond those that it reads, as JSON has it; of `data`, the data set itself."""
    found = _data(plan) if role == "data" else _own(place_of(plan, role).identity)
    if role == "teacher":
        found = {"checkpoint": None, **found}
    if role == "student" and not plan.distils:
        found["distillation"] = {"alpha": plan.config.alpha_schedule}
    plain: dict[str, Any] = json.loads(canonical_json(found))
    return plain


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


def pin(plan: Plan, role: str) -> Pinned:
    """Raises `ArtifactError` where the artefact is not complete."""
    place = place_of(plan, role)
    if role == "soft_labels":
        return Pinned(place.name, place.key, _shards(plan.labels), built_with={})
    if not place.is_complete():
        raise ArtifactError(f"the {role} {place.name} is not there")
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
    involved = {ROLES.get(stage) for stage in stages}
    for role in ROLES.values():
        if role not in involved or role not in lock.artifacts:
            continue
        with suppress(ArtifactError):
            locked, found = lock.artifacts[role], pin(plan, role)
            why = _built_otherwise(found.built_with, locked.built_with)
            for name in sorted(found.files.keys() & locked.files.keys()):
                if found.files[name] != locked.files[name]:
                    yield name, role.replace("_", " "), why


def _built_otherwise(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    for name, here, there in differing(ours, theirs):
        if here and there:
            return f"built with {name} {here}, locked {name} {there}"
    return ""
