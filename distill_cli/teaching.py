"""Who teaches whom, and from what: what a config decides before anything is given a name or a key. No torch.

A student learns from a teacher, from several, from a student before it, from its peers, from its former self, or
from labels alone. Everything here follows from the config and the data set, never from what lies on the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

from distill_cli.artifacts.former import FormerStudent
from distill_cli.artifacts.given_weights import GivenWeights
from distill_cli.config.bias import Bias, read_bias
from distill_cli.config.lineage import link_name, members_of, peers_of, weights_of
from distill_cli.config.loss_terms import (
    OF_TEACHER,
    hard_weight,
    needs,
    reuses_classifier,
    terms_of,
    uses_alpha,
    uses_temperature,
    wants_labels,
)
from distill_cli.config.published import is_as_published
from distill_cli.config.schema import Config, Spec, require
from distill_cli.config.targets import TARGET, instantiate
from distill_cli.data.splits import DataSet
from distill_cli.data.transfer import TransferSet, transfer_set
from distill_cli.errors import ConfigError
from distill_cli.schedules import Learned, values_of

AT_ONE = {"_target_": "distill_cli.schedules.Constant", "start": 1.0}
TOP_K = "distill_cli.soft_labels.encodings.top_k.TopK"


@dataclass(frozen=True)
class Teaching:
    """One distillation of a config; with its `links`, all of them.

    Where students teach students (assistants, generations) there is one for each of these distillations, and this
    is the last of them. Where several teachers speak as one, each has one of its own as well.
    """

    config: Config
    data: DataSet
    taught_by: Self | None = None  # whose student is the teacher here

    def settled(self) -> Self:
        """With a temperature of 1 where no loss uses it, so that nothing can come to depend on what was typed.

        Raises `ConfigError` for one that would be learned.
        """
        schedule = instantiate(self.config.temperature_schedule, "temperature_schedule")
        if self.distils and isinstance(schedule, Learned):
            self._check_learned("learned_per_sample" if schedule.per_sample else "learned")
        if self.uses_temperature:
            return self
        return replace(self, config=replace(self.config, temperature=1.0, temperature_schedule=AT_ONE))

    def check(self) -> None:
        """Find what cannot work before anything is made. Raises `ConfigError`."""
        alphas = values_of(instantiate(self.config.alpha_schedule, "alpha_schedule"))
        temperatures = values_of(instantiate(self.config.temperature_schedule, "temperature_schedule"))
        require(
            min(alphas) >= 0 and max(alphas) <= 1, "alpha_schedule", _range(alphas), "must stay in [0, 1]"
        )
        require(min(temperatures) > 0, "temperature_schedule", _range(temperatures), "must stay above 0")
        for role, recipe in (("teacher", self.config.teacher), ("student", self.config.student)):
            instantiate(recipe.lr_schedule, f"{role}.lr_schedule")
        if self.distils:
            self.teacher_is_online  # noqa: B018
        self.transfer, self.bias  # noqa: B018
        self.first._check_teachers()
        hard_weight(self.config.loss)
        if self.distils:
            self._check_filter("peers learn" if self.peers else f"loss={self.config.loss.get('name')} learns")
        self._check_insides()
        for link in self.links:
            link._check_former()

    @cached_property
    def links(self) -> tuple[Self, ...]:
        """The distillations one after the other; this is the last."""
        return (*(self.taught_by.links if self.taught_by else ()), self)

    @cached_property
    def first(self) -> Self:
        """The distillation whose teacher is no student of another."""
        return self.links[0]

    @cached_property
    def role(self) -> str:
        """What its student is called among those of a chain: `assistant mlp`, `generation 2 of 3`, `student`."""
        return link_name(self.config, len(self.links)) if self.distils else "student"

    @cached_property
    def members(self) -> tuple[Self, ...]:
        """A plan for each teacher, with soft labels of its own; this one, where there is one."""
        if self.taught_by is not None:
            return (self,)
        alone = members_of(self.config.teacher)
        if alone == [self.config.teacher]:
            return (self,)
        return tuple(replace(self, config=replace(self.config, teacher=teacher)) for teacher in alone)

    @cached_property
    def average(self) -> tuple[Literal["logits", "probabilities"], tuple[float, ...]]:
        """How the members' opinions become one: of what, and with which weights, which add up to 1."""
        if self.taught_by is not None:
            return "logits", (1.0,)
        of: Literal["logits", "probabilities"] = self.config.teacher.average  # type: ignore[assignment]
        return of, weights_of(self.config.teacher, len(self.members))

    @cached_property
    def peers(self) -> tuple[Spec, ...]:
        """Models that learn together with the student, from each other."""
        return peers_of(self.config)

    @cached_property
    def former(self) -> FormerStudent | None:
        """The student that this one goes on from."""
        init = self.config.student.init
        return None if init is None else FormerStudent.at(init)

    @cached_property
    def is_published(self) -> bool:
        """Whether the one teacher of this plan is as its makers published it. Raises `ConfigError`."""
        teacher, channels = self.config.teacher, self.data.image_shape[0]
        return is_as_published(teacher.checkpoint, teacher.model, channels)

    @cached_property
    def checkpoint(self) -> GivenWeights | None:
        """The file that the one teacher of this plan is brought in from. Raises `ConfigError` where it is none."""
        typed = self.config.teacher.checkpoint
        return None if typed is None or self.is_published else GivenWeights.typed(typed)

    @cached_property
    def transfer(self) -> TransferSet:
        """The train samples that students learn from, and their baselines."""
        found = transfer_set(self.config.transfer, self.data, mixes=self.mixes)
        if wants_labels(
            self.config.loss, values_of(instantiate(self.config.alpha_schedule, "alpha_schedule"))
        ):
            found.need_labels("students", "leave more, or set alpha=1" if self.uses_alpha else "leave more")
        return found

    @cached_property
    def bias(self) -> Bias:
        """What is added to the student's logits before it is measured."""
        validation = set(self.data.validation.labels.tolist())
        return read_bias(self.config.evaluate.bias, self.data.classes, validation)

    @cached_property
    def teacher_model(self) -> Spec:
        """The teacher's architecture."""
        return self.config.teacher.model if self.taught_by is None else self.taught_by.config.student.model

    @cached_property
    def teacher_views(self) -> Spec:
        """Its own recipe, or that of the students with a new view in every epoch."""
        if self.config.teacher.views is not None:
            return self.config.teacher.views
        return {**self.config.views, "seed": self.config.teacher.seed, "count": None}

    @cached_property
    def distils(self) -> bool:
        """Whether the soft loss ever has a weight. Without it the student is its own baseline."""
        return any(values_of(instantiate(self.config.alpha_schedule, "alpha_schedule")))

    @cached_property
    def is_taught(self) -> bool:
        """Whether the student learns from a teacher; not from labels, its peers or its former self alone."""
        return self.distils and bool(self.needs & OF_TEACHER) and not self.peers

    @cached_property
    def needs(self) -> frozenset[str]:
        """What the losses need beside the student's logits."""
        return needs(self.config.loss)

    @cached_property
    def uses_alpha(self) -> bool:
        """Whether a loss goes by it."""
        return self.distils and uses_alpha(self.config.loss)

    @cached_property
    def uses_temperature(self) -> bool:
        """Whether it may be of importance to a loss."""
        return self.distils and uses_temperature(self.config.loss)

    @cached_property
    def wants_embedding(self) -> bool:
        """Whether the teacher's embeddings are stored beside its logits."""
        return self.config.soft_labels["embedding"] or (self.is_taught and "embedding" in self.needs)

    @cached_property
    def reuses_classifier(self) -> bool:
        """Whether the student ends in its teacher's classifier."""
        return self.is_taught and reuses_classifier(self.config.loss)

    @cached_property
    def views_per_sample(self) -> int:
        """In how many views a step shows each sample: as the losses want it, where there are so many."""
        wanted = max(term.views for term in terms_of(self.config.loss))
        count: int | None = self.config.views["count"]
        return wanted if count is None else min(wanted, count)

    @cached_property
    def mixes(self) -> bool:
        """Whether views show mixtures of two samples."""
        return TARGET in (self.config.views.get("mixing") or {})

    @cached_property
    def reads_labels(self) -> bool:
        """Whether the student learns from soft labels that are stored."""
        return self.is_taught and not self.teacher_is_online

    @cached_property
    def teacher_is_online(self) -> bool:
        """Decided by the config alone, never by what happens to lie on the disk."""
        source, count = self.config.teacher_source, self.config.views["count"]
        if source == "cached" and count is None:
            raise ConfigError(
                "teacher_source=cached needs stored views: set views.count, or teacher_source=online"
            )
        if source == "cached" and "features" in self.needs:
            raise ConfigError(
                f"loss={self.config.loss.get('name')} needs features of the teacher, which are not stored; "
                "use teacher_source=online (or auto)"
            )
        return source == "online" or count is None or "features" in self.needs

    def _check_learned(self, name: str) -> None:
        loss = f"loss={self.config.loss.get('name')}"
        rule = f"{loss} does not use the temperature; leave it out"
        require(self.uses_temperature, "temperature_schedule", name, rule)
        has_teacher = bool(self.needs & OF_TEACHER)
        require(
            has_teacher, "temperature_schedule", name, f"{loss} has no teacher to learn it from; leave it out"
        )

    def _check_filter(self, who: str) -> None:
        spec = self.config.teacher_filter or {}
        rule = f"{who} from no teacher; leave the filter out"
        require(not spec or self.is_taught, "teacher_filter", spec.get("name", ""), rule)

    def _check_teachers(self) -> None:
        self.average  # noqa: B018
        keeps_all = self.config.soft_labels["_target_"] != TOP_K
        rule = (
            "keeps a part of what each teacher says, which cannot be averaged; use float16, int8 or int4, "
            "or teacher_source=online"
        )
        is_average = len(self.members) > 1 and self.reads_labels
        require(keeps_all or not is_average, "soft_labels", self.config.soft_labels.get("name"), rule)

    def _check_insides(self) -> None:
        """Losses that look into models want one teacher, and no compiler."""
        inside = sorted(self.needs & {"embedding", "features"})
        if not (inside and self.is_taught):
            return
        loss, teacher = f"loss={self.config.loss.get('name')}", self.config.teacher.model.get("name")
        if len(self.first.members) > 1:
            raise ConfigError(f"{loss} needs the {inside[0]} of one teacher; teacher={teacher} are several")
        if self.config.compile == "true":
            raise ConfigError(
                f"{loss} looks into the student, which cannot be compiled then; use compile=auto"
            )

    def _check_former(self) -> None:
        """A student can go on from one that saw such pictures; some losses need that it does."""
        previous = [term.name for term in terms_of(self.config.loss) if term.needs == "previous"]
        if self.former is not None:
            self.former.check(self.data.classes, self.preprocessing)
            require(
                not self.reuses_classifier,
                "loss",
                self.config.loss.get("name"),
                "gives the student its teacher's classifier, student.init another; leave one of them out",
            )
        elif previous and self.distils:
            alone = " and leave assistant out" if self.config.assistant else ""
            raise ConfigError(
                f"loss={previous[0]} needs the student that it goes on from; set student.init=ARTEFACT{alone}"
            )

    @cached_property
    def preprocessing(self) -> dict[str, Any]:
        """What happens to a picture before a model sees it."""
        shape = list(self.data.image_shape)
        return {"mean": list(self.data.mean), "std": list(self.data.std), "image_shape": shape}


def _range(values: list[float]) -> str:
    return f"{min(values):g}..{max(values):g}"
