"""What a student is trained for: its losses, made and fitted, and the teacher that they listen to.

Losses that look inside are fitted to both models once, on two empty pictures: these show which layers there are and
what shapes they have, so that whatever does not go together is refused before a step is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from zlib import crc32

import torch
from torch import Tensor, nn

from distill_cli.config.loss_terms import OF_TEACHER, LossTerm, hard_weight, terms_of
from distill_cli.config.targets import instantiate, instantiate_nested
from distill_cli.losses.learned_temperature import LearnedTemperature
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.models.layers import default_pairs, preactivation
from distill_cli.models.penultimate import Penultimate, classifier_of
from distill_cli.models.taps import Taps, Whose
from distill_cli.plan import Plan
from distill_cli.schedules import Learned
from distill_cli.stages.jobs.former import Former, open_former
from distill_cli.stages.jobs.trial import blamed
from distill_cli.stages.jobs.workplace import teacher_source, trained_teacher
from distill_cli.training.insights import Insights
from distill_cli.training.objectives import CrossEntropy, Distillation
from distill_cli.training.terms import ALWAYS, SoftLoss, Term

Pairs = tuple[tuple[str, str], ...]  # of layers, the student's and the teacher's
INSIDE = {"embedding", "features"}  # needs for which a model is looked into


def distillation(plan: Plan, student: nn.Module, device: torch.device) -> Distillation:
    """The objective of `student`, which is on the host and not trained yet."""
    config = plan.config
    opened = trained_teacher(plan) if plan.needs & INSIDE else None
    losses = Losses.fitted(plan, student, None if opened is None else opened[0], open_former(plan))
    return Distillation(
        hard=CrossEntropy(config.student.label_smoothing),
        terms=losses.terms,
        teacher=teacher_source(plan, device, opened=opened, insights=losses.of_teacher),
        temperature=instantiate(config.temperature_schedule, "temperature_schedule"),
        alpha=instantiate(config.alpha_schedule, "alpha_schedule"),
        hard_weight=hard_weight(config.loss),
        student=losses.of_student,
        learned=losses.learned,
        views_per_sample=plan.views_per_sample,
        teacher_filter=instantiate(config.teacher_filter, "teacher_filter")
        if config.teacher_filter
        else None,
    )


@dataclass(frozen=True)
class Losses:
    """Those of a plan, fitted to a student and its teacher."""

    terms: tuple[Term, ...]
    learned: LearnedTemperature | None
    of_student: Insights | None  # what is caught of it for them
    of_teacher: Insights | None
    example: tuple[Outputs, Outputs]  # of student and teacher, that they were fitted to

    @classmethod
    def fitted(
        cls, plan: Plan, student: nn.Module, teacher: nn.Module | None, former: Former | None = None
    ) -> Losses:
        """`teacher` is needed where it is looked into; its weights need not be trained yet.

        Raises `ConfigError` where a loss cannot be made, or cannot work with these two.
        """
        specs = terms_of(plan.config.loss)
        pairs = [_pairs(plan, spec, student, teacher) for spec in specs]
        every = tuple(dict.fromkeys(pair for own in pairs for pair in own))
        fitting = _Fitting.of(plan, student, teacher, every, former)
        losses = []
        for spec, own in zip(specs, pairs, strict=True):
            with _drawn_for(spec.key, plan):
                losses.append(fitting.loss(spec, own))
        with _drawn_for("temperature_schedule", plan):
            learned = fitting.temperature(plan)
        terms = [
            Term(
                spec.name,
                loss,
                spec.weight,
                instantiate(spec.weight_schedule, f"{spec.key}.weight_schedule")
                if spec.weight_schedule
                else ALWAYS,
                fitting.own(pairs_of),
                previous=former if spec.needs == "previous" else None,
                is_taught=spec.needs in OF_TEACHER,
            )
            for spec, loss, pairs_of in zip(specs, losses, pairs, strict=True)
        ]
        of_student = insights(plan, student, [path for path, _ in every], "student")
        of_teacher = (
            None if teacher is None else insights(plan, teacher, [path for _, path in every], "teacher")
        )
        return cls(tuple(terms), learned, of_student, of_teacher, (fitting.student, fitting.teacher))


@contextmanager
def _drawn_for(key: str, plan: Plan) -> Iterator[None]:
    """While its parts are made. What a loss begins with is its own affair, whatever stands beside it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(plan.config.student.seed ^ crc32(key.encode()))
        yield


def insights(plan: Plan, model: nn.Module, layers: list[str], whose: Whose) -> Insights | None:
    """What the losses want of a model beside its logits; None: nothing."""
    taps = Taps(model, layers, whose) if layers else None
    loss = f"loss={plan.config.loss.get('name')}"
    penultimate = None
    if "embedding" in plan.needs:
        penultimate = Penultimate(model, f"{loss}: the {whose}", training=whose == "student")
    return Insights(taps, penultimate) if taps or penultimate else None


@dataclass(frozen=True)
class _Fitting:
    """Two empty pictures, as student and teacher see them."""

    student: Outputs
    teacher: Outputs
    previous: Outputs  # of the student that this one goes on from
    setting: Setting
    pairs: Pairs  # whose features both have

    @classmethod
    def of(
        cls,
        plan: Plan,
        student: nn.Module,
        teacher: nn.Module | None,
        pairs: Pairs,
        former: Former | None,
    ) -> _Fitting:
        classes, known = len(plan.data.classes), None if former is None else former.known_classes
        setting = Setting(
            labels=torch.from_numpy(plan.data.train.labels),
            classes=classes,
            classifier=_frozen(classifier_of(teacher)) if teacher is not None else None,
            known_classes=known,
            views=plan.views_per_sample,
            shown=None if plan.transfer.is_whole else torch.from_numpy(plan.transfer.index),
            mixes=plan.mixes,
        )
        seen_by_teacher = Outputs(torch.zeros(2, classes))
        if teacher is not None:
            seen_by_teacher = _seen(plan, teacher, [path for _, path in pairs], "teacher")
        seen_by_student = _seen(plan, student, [path for path, _ in pairs], "student")
        seen_by_former = Outputs(torch.zeros(2, 0 if known is None else len(known)))
        return cls(seen_by_student, seen_by_teacher, seen_by_former, setting, pairs)

    def own(self, pairs: Pairs) -> tuple[int, ...]:
        return tuple(self.pairs.index(pair) for pair in pairs)

    def loss(self, term: LossTerm, pairs: Pairs) -> SoftLoss:
        loss: SoftLoss = instantiate_nested(term.spec, term.key)
        if hasattr(loss, "fit"):
            teacher = self.previous if term.needs == "previous" else self.teacher
            with blamed(term.name, loss):
                loss.fit(*(self._with(seen, pairs) for seen in (self.student, teacher)), self.setting)
        return loss

    def temperature(self, plan: Plan) -> LearnedTemperature | None:
        schedule = instantiate(plan.config.temperature_schedule, "temperature_schedule")
        if not isinstance(schedule, Learned):
            return None
        learned = LearnedTemperature(schedule)
        learned.fit(self.student, self.teacher, self.setting)
        return learned

    def _with(self, seen: Outputs, pairs: Pairs) -> Outputs:
        return replace(seen, features=tuple(seen.features[number] for number in self.own(pairs)))


def _seen(plan: Plan, model: nn.Module, layers: list[str], whose: Whose) -> Outputs:
    """By a copy, in the mode in which features are caught: nothing of it stays in the model."""
    copy = deepcopy(model).cpu().train(whose == "student")
    caught = insights(plan, copy, layers, whose)
    with torch.no_grad():
        logits: Tensor = copy(torch.zeros(2, *plan.data.image_shape))
    seen = Outputs(logits, index=torch.zeros(2, dtype=torch.long))
    return seen if caught is None else caught.join(seen)


def _pairs(plan: Plan, term: LossTerm, student: nn.Module, teacher: nn.Module | None) -> Pairs:
    """The layers that a loss looks at; none for one that does not."""
    if term.needs != "features":
        return ()
    assert teacher is not None, "features need a teacher"
    shape = plan.data.image_shape
    pairs = term.layers or default_pairs(student, teacher, shape)
    if not term.preactivation:
        return pairs
    return tuple((preactivation(student, s, shape), preactivation(teacher, t, shape)) for s, t in pairs)


def _frozen(classifier: nn.Linear | None) -> nn.Linear | None:
    return None if classifier is None else deepcopy(classifier).cpu().requires_grad_(False)
