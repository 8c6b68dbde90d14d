"""The student that another one goes on from: its network, and what it says while its successor learns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from distill_cli.artifacts.former import KEY
from distill_cli.artifacts.given_weights import GivenWeights
from distill_cli.artifacts.store import WEIGHTS, read_manifest
from distill_cli.config.schema import Spec
from distill_cli.config.targets import without_labels
from distill_cli.errors import ConfigError
from distill_cli.losses.outputs import Outputs
from distill_cli.models.build import build_model
from distill_cli.models.growth import grow
from distill_cli.models.penultimate import classifier_of
from distill_cli.models.reused_classifier import adopt, wrapped
from distill_cli.models.weights import load_weights
from distill_cli.plan import Plan
from distill_cli.runtime.device import resolve
from distill_cli.stages.jobs.workplace import new_model, runtime_for, trained_teacher
from distill_cli.training.teacher_sources import OnlineTeacher

HAS_NO_NAMES = f"; name an artefact, which says what they are: {KEY}=DIRECTORY"


@dataclass(frozen=True)
class Former:
    """Frozen, in eval mode. Of what it says, the classes that are gone are left out."""

    student: OnlineTeacher
    logits: Tensor  # which of its own are for classes that are still there, (known,), on the device
    known_classes: Tensor  # the columns of these now, (known,), on the host

    def __call__(self, inputs: Tensor) -> Outputs:
        outputs = self.student.of(inputs)
        return replace(outputs, dense=outputs.logits.index_select(1, self.logits))


def open_former(plan: Plan, *, on_host: bool = False) -> Former | None:
    """On the device, unless it is for a rehearsal; None where no loss asks for it."""
    if plan.former is None or "previous" not in plan.needs:
        return None
    model = _former_network(plan)
    runtime = runtime_for(plan, model, plan.config.student.batch_size)
    runtime = resolve("cpu", "fp32", "false") if on_host else runtime
    columns = plan.former.columns(plan.data.classes)
    logits = torch.tensor([number for number, column in enumerate(columns) if column is not None])
    known = torch.tensor([column for column in columns if column is not None])
    return Former(OnlineTeacher(runtime.place(model).eval(), runtime), logits.to(runtime.device), known)


def begun(plan: Plan) -> nn.Module:
    """The student's network before its training: fresh, or grown out of the one that it goes on from.

    Raises `ConfigError` or `ArtifactError` where that is of another architecture.
    """
    recipe, former, classes = plan.config.student, plan.former, plan.data.classes
    model = new_model(plan, recipe.model, recipe.seed, pretrained=former is None)
    if former is not None:
        grow(model, _former_network(plan), former.columns(classes), len(classes))
    return model


def new_student(plan: Plan) -> tuple[Spec, nn.Module]:
    """A student before its training, and its architecture: it may end in its teacher's classifier."""
    recipe = plan.config.student
    if not plan.reuses_classifier:
        return recipe.model, begun(plan)
    classifier = classifier_of(trained_teacher(plan)[0])
    assert classifier is not None, "the loss was rehearsed with this teacher"
    spec = wrapped(recipe.model, classifier.in_features)
    model = new_model(plan, spec, recipe.seed)
    adopt(model, classifier)
    return spec, model


def going_on(plan: Plan) -> str:
    """One line: whom the student goes on from, and which classes that one knows."""
    former, classes = plan.former, plan.data.classes
    assert former is not None
    columns = former.columns(classes)
    known = len([column for column in columns if column is not None])
    gone = [name for name, column in zip(former.knows(classes), columns, strict=True) if column is None]
    lost = f"; it forgets {', '.join(gone[:5])}{', …' if gone[5:] else ''}, which are gone" if gone else ""
    return f"goes on from {former.weights.name}, which knows {known} of the {len(classes)} classes{lost}"


def _former_network(plan: Plan) -> nn.Module:
    """With its weights, on the host."""
    former = plan.former
    assert former is not None
    _refuse_another_architecture(former.weights, plan.config.student.model)
    model = build_model(
        plan.config.student.model,
        num_classes=len(former.knows(plan.data.classes)),
        image_shape=plan.data.image_shape,
        seed=0,
        pretrained=False,
    )
    load_weights(model, former.weights.verified(), HAS_NO_NAMES)
    return model


def _refuse_another_architecture(weights: GivenWeights, spec: Spec) -> None:
    """As far as the names in its artefact tell. Raises `ConfigError`."""
    is_student = weights.is_recorded and weights.path.name == WEIGHTS
    theirs = read_manifest(weights.path.parent).get("model") if is_student else None
    if theirs is None or without_labels(theirs) == without_labels(spec):
        return
    one, other = theirs.get("name"), spec.get("name")
    if one and other and one != other:
        raise ConfigError(
            f"{weights.what} is {one}, the student is {other}; name one of the same architecture"
        )
