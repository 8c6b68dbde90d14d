"""Gathering the figures that a diagnosis is made from, on a sample of the train part.

The student runs twice over the sample: over its pictures as they are, and over their first view, for which the
teacher's rows are stored. One view, because the rows of the others need not be read for it. Gradients are those of
the whole sample at the final weights, in eval mode and float32; nothing of them stays in the student.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.store import read_manifest, verified
from distill_cli.config.loss_terms import terms_of, uses_alpha
from distill_cli.config.targets import instantiate, instantiate_nested
from distill_cli.data.batch import Batch
from distill_cli.data.loader import Loader
from distill_cli.data.splits import UNLABELLED, ArraySplit
from distill_cli.data.views.views import open_views
from distill_cli.errors import ArtifactError
from distill_cli.evaluation.evidence import Evidence, compared_epochs
from distill_cli.evaluation.metrics import predict_all
from distill_cli.evaluation.remedies import moves, remedies
from distill_cli.losses.kd import KnowledgeDistillation, softened_kl
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.soften import soften
from distill_cli.plan import Plan
from distill_cli.runtime.console import say
from distill_cli.runtime.device import Runtime
from distill_cli.schedules import Learned, values_of
from distill_cli.stages.jobs.train import HISTORY
from distill_cli.stages.jobs.workplace import clean_loader, teacher_source
from distill_cli.training.objectives import CrossEntropy
from distill_cli.training.terms import SoftLoss

Figures = dict[str, Any]
Integers = np.ndarray[Any, np.dtype[np.int64]]

TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0)  # what may be advised
TELLING_ENTROPY = 0.3  # relative, of soft labels that rank the wrong classes and still name the right one
CLEAR_SHARE = 0.75  # of a mixed view: there its larger part is what the teacher should see


def gather(
    plan: Plan, student: nn.Module, runtime: Runtime, models: Mapping[str, Figures | None]
) -> Evidence:
    """`student` is on the device, in eval mode; `models` are the report's figures of each role, without a bias: a
    diagnosis is of what was trained, and has its figures on the train part beside them.

    Where the soft labels are gone, what comes from them is None.
    """
    shown = plan.transfer.index
    index = shown[_spread(len(shown), plan.config.evaluate.diagnosis)]
    with runtime.at_work():
        train_top1 = _train_top1(plan, student, runtime, index)
        try:
            taught = _taught(plan, student, runtime, index)
        except ArtifactError as error:
            say(f"no diagnosis from the soft labels: {error}")
            taught = _Taught()
    pupil, teacher, baseline = (models[role] or {} for role in ("student", "teacher", "baseline"))
    return Evidence(
        test_samples=int((plan.data.test.labels != UNLABELLED).sum()),
        student_top1=pupil["top1"],
        teacher_top1=teacher["top1"],
        baseline_top1=baseline.get("top1"),
        student_agreement=pupil["agreement"],
        baseline_agreement=baseline.get("agreement"),
        alpha=_alpha(plan),
        epochs=plan.config.student.epochs,
        fall=_fall(plan),
        train_top1=train_top1,
        chance=1 / len(plan.data.classes),
        **taught.figures(),
        remedies=remedies(plan.config, taught.telling, teacher["parameters"] / pupil["parameters"]),
        taught_by=_named(plan.taught_by),
        taught_by_top1=_top1(plan.taught_by),
    )


def _alpha(plan: Plan) -> float | None:
    """In the mean; None: the losses have weights of their own."""
    config = plan.config
    return fmean(values_of(instantiate(config.alpha_schedule))) if uses_alpha(config.loss) else None


def _named(before: Plan | None) -> str:
    """Whoever taught the student, as a sentence begins."""
    return "The teacher" if before is None else before.role[0].upper() + before.role[1:]


def _top1(before: Plan | None) -> float | None:
    """Of a teacher that was a student itself, on the test part."""
    if before is None:
        return None
    found: float = read_manifest(before.student.directory)["metrics"]["test_top1"]
    return found


def _spread(samples: int, most: int) -> Integers:
    """Evenly over all of them: some sets are sorted by class."""
    return np.unique(np.linspace(0, samples - 1, min(most, samples)).astype(np.int64))


def _train_top1(plan: Plan, student: nn.Module, runtime: Runtime, index: Integers) -> float | None:
    loader = clean_loader(plan, plan.data.train.take(index), runtime)
    found = predict_all(student, loader, runtime, plan.config.evaluate.batch_size).labelled
    if not len(found.labels):
        return None
    return (found.logits.argmax(dim=1) == found.labels).double().mean().item()


def _fall(plan: Plan) -> float | None:
    """By which share the loss fell between the `compared_epochs`; None: it cannot be compared.

    At the end every loss falls, because the learning rate does. In the first half it hardly has yet, so that what
    a doubling of the time brought there tells what another one would.
    """
    of_weights = [term.weight_schedule for term in terms_of(plan.config.loss) if term.weight_schedule]
    of_alpha = [plan.config.alpha_schedule] if plan.uses_alpha else []
    schedules = (*of_alpha, plan.config.temperature_schedule, *of_weights)
    losses = [record["loss"] for record in read_json(verified(plan.student.directory, HISTORY))]
    if len(losses) < 2 or any(moves(schedule) for schedule in schedules):
        return None
    before, after = (fmean(losses[end - 1 - end // 5 : end]) for end in compared_epochs(len(losses)))
    return 1 - after / before if before > 0 and after > 0 else None


def _taught(plan: Plan, student: nn.Module, runtime: Runtime, index: Integers) -> _Taught:
    """Nothing, where no loss is between logits. Raises `ArtifactError` where soft labels are gone or damaged."""
    config = plan.config
    if "logits" not in plan.needs:
        return _Taught()
    teacher, (soft, has_temperature) = teacher_source(plan, runtime.device, views=1), _soft(plan)
    temperatures = values_of(instantiate(config.temperature_schedule))
    taught = _Taught(
        min(temperatures), fmean(temperatures), max(temperatures), math.log(len(plan.data.classes))
    )
    gradients = _Gradients(student, CrossEntropy(config.student.label_smoothing), soft, taught.mean)
    for batch in _views(plan, runtime, index):
        said = teacher(batch)
        answered = gradients.add(batch, said)
        taught.add(batch, said, answered)
        if has_temperature:
            taught.has_temperature |= _depends_on_temperature(soft, answered, said, batch.labels, taught.mean)
    taught.cosine = gradients.cosine()
    return taught


def _soft(plan: Plan) -> tuple[SoftLoss, bool]:
    """The loss whose gradients are looked at, and whether the temperature may be of importance to it.

    That of the config, if nothing in it was trained; else `kd`: what the teacher says against what the labels say
    is a question to both of them, not to the loss.
    """
    terms, schedule = terms_of(plan.config.loss), instantiate(plan.config.temperature_schedule)
    if len(terms) == 1 and not isinstance(schedule, Learned):
        loss = instantiate_nested(terms[0].spec)
        if not isinstance(loss, nn.Module):
            return loss, True
    return KnowledgeDistillation(), False


def _views(plan: Plan, runtime: Runtime, index: Integers) -> Iterator[Batch]:
    """The first view of each sample. Of a set that is not in memory only these pictures are decoded, here."""
    config, data = plan.config, plan.data
    in_memory = config.trainer.resident_bytes if isinstance(data.train, ArraySplit) else 0
    views = open_views(config.views, data.image_shape[1:])
    loader = Loader(
        data.train,
        data,
        runtime.device,
        views,
        resident_bytes=in_memory,
        workers=0,
        memory_format=runtime.memory_format,
    )
    part = math.ceil(
        config.student.batch_size / config.student.accumulation
    )  # as much as training had room for
    return loader.view(index, np.zeros_like(index), part)


@dataclass
class _Taught:
    """What the teacher says of the views, and how much of it the student has taken up: sums over the batches."""

    coldest: float = 1.0
    mean: float = 1.0
    hottest: float = 1.0
    most_entropy: float = 1.0  # log(classes)
    has_temperature: bool = False
    cosine: float | None = None

    def __post_init__(self) -> None:
        self.samples = 0
        self.entropies = dict.fromkeys((*TEMPERATURES, self.coldest, self.hottest), 0.0)
        self.confidence = self.kl = self.kl_of_nothing = 0.0
        self.clear = self.right = 0

    @torch.no_grad()
    def add(self, batch: Batch, teacher: Outputs, student: Outputs) -> None:
        teacher, student = teacher.double(), student.double()
        self.samples += len(batch)
        for temperature in self.entropies:
            said = soften(student, teacher, temperature)[1].exp()
            self.entropies[temperature] += torch.special.entr(said).sum().item()
        self.confidence += soften(student, teacher, 1.0)[1].amax(dim=1).exp().sum().item()
        self.kl += softened_kl(student, teacher, self.mean).sum().item()
        nothing = Outputs(torch.zeros_like(student.logits))
        self.kl_of_nothing += softened_kl(nothing, teacher, self.mean).sum().item()
        label, is_clear = _label(batch)
        self.clear += int(is_clear.sum())
        self.right += int((is_clear & (teacher.top_class == label)).sum())

    def entropy(self, temperature: float) -> float:
        """As a share of the largest there is. Of a teacher who keeps k logits: at least."""
        return self.entropies[temperature] / self.samples / self.most_entropy

    @property
    def telling(self) -> float | None:
        """The temperature to advise."""
        if not self.samples:
            return None
        return min(TEMPERATURES, key=lambda temperature: abs(self.entropy(temperature) - TELLING_ENTROPY))

    def figures(self) -> dict[str, float | None]:
        """Of `Evidence`, by its names."""
        known, warm = bool(self.samples), bool(self.samples) and self.has_temperature
        return {
            "label_agreement": self.right / self.clear if self.clear else None,
            "teacher_confidence": self.confidence / self.samples if known else None,
            "entropy": self.entropy(1.0) if known else None,
            "coldest_entropy": self.entropy(self.coldest) if warm else None,
            "hottest_entropy": self.entropy(self.hottest) if warm else None,
            "unlearned": self.kl / self.kl_of_nothing if self.kl_of_nothing > 0 else None,
            "gradient_cosine": self.cosine,
        }


class _Gradients:
    """Of the hard and of the soft loss over all batches, with respect to the student's parameters."""

    def __init__(self, student: nn.Module, hard: CrossEntropy, soft: SoftLoss, temperature: float) -> None:
        assert not student.training, "gradients are those of eval mode"
        self.student, self.hard, self.soft, self.temperature = student, hard, soft, temperature
        self.parameters = [parameter for parameter in student.parameters() if parameter.requires_grad]
        self.of_hard = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.of_soft = [torch.zeros_like(parameter) for parameter in self.parameters]

    def add(self, batch: Batch, teacher: Outputs) -> Outputs:
        """The student's outputs for the batch, without a graph. Each term counts by what it is a mean over."""
        with torch.enable_grad():
            outputs = Outputs(self.student(batch.inputs).float())
            hard = self.hard.loss(outputs, batch) * (batch.labels != UNLABELLED).sum()
            soft = self.soft(outputs, teacher, batch.labels, self.temperature) * len(batch)
        self._collect(hard, self.of_hard, retain_graph=True)
        self._collect(soft, self.of_soft, retain_graph=False)
        return Outputs(outputs.logits.detach())

    def _collect(self, loss: Tensor, sums: list[Tensor], *, retain_graph: bool) -> None:
        found = torch.autograd.grad(loss, self.parameters, retain_graph=retain_graph, allow_unused=True)
        for total, gradient in zip(sums, found, strict=True):
            if gradient is not None:
                total += gradient

    def cosine(self) -> float | None:
        """None where one of them vanishes: there is no label, or nothing to learn."""
        hard, soft = (
            torch.cat([each.flatten() for each in sums]).double() for sums in (self.of_hard, self.of_soft)
        )
        length = (hard.norm() * soft.norm()).item()
        return (hard @ soft).item() / length if length > 0 else None


def _label(batch: Batch) -> tuple[Tensor, Tensor]:
    """Each view's label, and whether it has one that its picture shows clearly."""
    if batch.share is None or batch.partner_labels is None:
        return batch.labels, batch.labels != UNLABELLED
    is_own = batch.share >= 0.5
    label = torch.where(is_own, batch.labels, batch.partner_labels)
    share = torch.where(is_own, batch.share, 1 - batch.share)
    return label, (label != UNLABELLED) & (share >= CLEAR_SHARE)


@torch.no_grad()
def _depends_on_temperature(
    soft: SoftLoss, student: Outputs, teacher: Outputs, labels: Tensor, temperature: float
) -> bool:
    here, there = (soft(student, teacher, labels, each).item() for each in (temperature, 2 * temperature))
    return here != there
