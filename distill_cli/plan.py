"""From the composed config to what is to be made: keys, places, and what each stage reads.

A stage is a pure function of its key. Everything here is computed without torch, so that a command that has
nothing to do ends before torch would be imported. This is the lowest place that sees a `DictConfig`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from distill_cli.artifacts.store import Place
from distill_cli.config.environment import refuse_secrets
from distill_cli.config.identities import recipe_identity, report_identity
from distill_cli.config.lineage import links_of
from distill_cli.config.loss_terms import identity_of
from distill_cli.config.published import AS_PUBLISHED
from distill_cli.config.schema import Config, Training, require
from distill_cli.config.targets import without_labels
from distill_cli.data.open import fingerprint, open_data
from distill_cli.data.splits import DataSet
from distill_cli.errors import ConfigError
from distill_cli.runtime.console import say
from distill_cli.soft_labels.label_set import EMBEDDING, LOGITS, LabelSet
from distill_cli.teaching import Teaching

_NO_DEFAULT: Any = object()
FORMATS = {"teacher": 2, "soft_labels": 2, "student": 2, "evaluation": 2}
DENSE = "distill_cli.soft_labels.encodings.Dense"  # every logit, true enough for figures that are quoted
NOT_IN_THE_ROWS = ("resident", "allow_error", "embedding")  # of the soft_labels config


@dataclass(frozen=True)
class Plan(Teaching):
    """All artefacts of one config, and of each distillation before the last."""

    @classmethod
    def of(cls, composed: DictConfig) -> Plan:
        """Raises `ConfigError` for impossible values and `DataError` for a data set that cannot be read."""
        config: Config = OmegaConf.to_object(composed)  # type: ignore[assignment]
        with _environment_recorded() as secrets:
            resolved = OmegaConf.to_container(composed, resolve=True)
        refuse_secrets(OmegaConf.to_container(composed), resolved, secrets)  # type: ignore[arg-type]
        index = Path(config.paths.artifacts) / ".index"
        plan = cls._chained(config, open_data(config.data, Path(config.paths.data), index))
        plan.check()
        if plan.first.is_taught:
            plan.first.teacher  # noqa: B018 - each of them is there, if it is a file, and knows the classes
        if plan.skipped:
            say(_left_out(plan.skipped))
        return plan

    @classmethod
    def _chained(cls, config: Config, data: DataSet) -> Plan:
        plan = cls(config, data).settled()
        if not plan.distils:
            return plan
        taught_by: Plan | None = None
        for link in links_of(plan.config):
            taught_by = plan = cls(link, data, taught_by)
        require(
            plan.is_taught or len(plan.links) == 1,
            "loss",
            config.loss.get("name"),
            "learns from no teacher, so that assistant and generations mean nothing; leave them out",
        )
        return plan

    @cached_property
    def skipped(self) -> list[str]:
        """Pictures left out by `data.on_error=skip`, below the data root where they are."""
        root = Path(self.config.paths.data).absolute()
        absolute = (path.absolute() for path in self.data.skipped)
        return [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in absolute]

    @property
    def test_part(self) -> str:
        """What figures are measured on, as reports name it."""
        return f"{self.data.name}, {len(self.data.test):,} test pictures"

    @cached_property
    def teacher(self) -> Place:
        """Where the teacher lies. That of an ensemble only has a name and a key: its members lie there."""
        if self.taught_by is not None:
            return self.taught_by.student
        if len(self.members) > 1:
            return self._place("teachers", self._teacher_label, self._ensemble)
        member = self.members[0]
        if member.is_published:
            identity = self._imported_teacher(AS_PUBLISHED)
        elif member.checkpoint is not None:
            member.checkpoint.refuse_other_classes(self.data.classes)
            member.checkpoint.refuse_other_pictures(self.preprocessing)
            identity = self._imported_teacher(member.checkpoint.sha256)
        else:
            identity = self._trained("teacher", member.config.teacher, self.teacher_views)
        return self._place("teachers", self._teacher_label, identity)

    @cached_property
    def teacher_is_there(self) -> bool:
        """Whether each of them is."""
        return all(member.teacher.is_complete() for member in self.members)

    @cached_property
    def labels(self) -> LabelSet:
        """Raises `ConfigError` where views are new in every epoch, so that none can be stored."""
        views = self.config.views
        if views["count"] is None:
            raise ConfigError(
                "views.count=null: views that never come back cannot be stored; set views.count=8"
            )
        identity = {
            "stage": "soft_labels",
            "format": FORMATS["soft_labels"],
            "teacher": self.teacher.key,
            "views": without_labels(views, "count"),
            "encoding": without_labels(self.config.soft_labels, *NOT_IN_THE_ROWS),
            "data": {"name": self.data.name, "classes": list(self.data.classes), **self.preprocessing},
            "precision": self.config.precision,
        }
        label = f"{self.teacher_model.get('name', 'teacher')}-{_name_of(views)}"
        return LabelSet(
            self._place("soft_labels", label, identity),
            self.data,
            views=views["count"],
            block=self.config.soft_labels["block"],
            mixes=self.mixes,
            parts=(LOGITS, EMBEDDING) if self.wants_embedding else (LOGITS,),
        )

    @cached_property
    def student(self) -> Place:
        """The student that the config asks for; with alpha 0 that is the baseline."""
        if not self.distils:
            return self.baseline
        config = self.config
        temperature = f"-t{config.temperature:g}" if self.uses_temperature else ""
        alpha = f"-a{config.alpha:g}" if self.uses_alpha else ""
        label = (
            f"{config.student.model.get('name', 'student')}-{self.data.name}-{config.loss.get('name', 'loss')}"
            f"{temperature}{alpha}-s{config.student.seed}"
        )
        return self._place("students", label, {**self._student_alone, "distillation": self._distillation})

    @cached_property
    def baseline(self) -> Place:
        """The same student, with the same recipe and views, from hard labels alone."""
        name = self.config.student.model.get("name", "student")
        label = f"{name}-{self.data.name}-alone-s{self.config.student.seed}"
        return self._place("students", label, {**self._student_alone, "distillation": None})

    def teacher_logits(self) -> LabelSet | None:
        """The soft labels that hold what the teacher says to the test samples; None where it must be asked again.

        Only what this config trains with counts, and only encodings that keep every logit.
        """
        is_true = self.reads_labels and self.config.soft_labels["_target_"] == DENSE
        is_one = len(self.members) == 1
        return self.labels if is_true and is_one and self.labels.has_clean("test") else None

    def evaluation(self) -> Place:
        """The report. A baseline joins its key once it is built, as do soft labels that spare a forward pass."""
        has_baseline = self.baseline.is_complete()
        logits = self.first.teacher_logits()
        identity = {
            "stage": "evaluation",
            "format": FORMATS["evaluation"],
            "student": self.student.key,
            "teacher": self.first.teacher.key,
            "baseline": self.baseline.key if has_baseline else None,
            "teacher_logits": None if logits is None else logits.place.key,
            "data": self._data_identity,
            "settings": report_identity(self.config.evaluate, self.bias),
            "precision": self.config.precision,
            **({"chain": [link.role for link in self.links]} if self.taught_by else {}),
        }
        return self._place("evaluations", self.student.label, identity)

    @cached_property
    def _student_alone(self) -> dict[str, Any]:
        init = {} if self.former is None else {"init": self.former.identity(self.data.classes)}
        alone = self._trained("student", self.config.student, self.config.views)
        return {**alone, **self.transfer.identity, **init}

    @cached_property
    def _distillation(self) -> dict[str, Any]:
        config = self.config
        return {
            **self._source,
            "loss": identity_of(config.loss),
            **({"temperature": config.temperature_schedule} if self.uses_temperature else {}),
            **({"alpha": config.alpha_schedule} if self.uses_alpha else {}),
            **({"filter": without_labels(config.teacher_filter)} if config.teacher_filter else {}),
        }

    @cached_property
    def _source(self) -> dict[str, Any]:
        """Whom the student learns from."""
        if self.peers:
            return {"source": "peers", "peers": [without_labels(model) for model in self.peers]}
        if not self.is_taught:
            return {"source": "none"}
        if self.teacher_is_online:
            source, key, keys = "online", "teacher", [member.teacher.key for member in self.members]
        else:
            source, key, keys = "cached", "soft_labels", [member.labels.place.key for member in self.members]
        if len(keys) == 1:
            return {"source": source, key: keys[0]}
        return {"source": source, key: keys, **self._averaging}

    @property
    def _averaging(self) -> dict[str, Any]:
        of, weights = self.average
        return {"average": of, "weights": list(weights)}

    @property
    def _ensemble(self) -> dict[str, Any]:
        members = [member.teacher.key for member in self.members]
        return {"stage": "teacher", "format": FORMATS["teacher"], "members": members, **self._averaging}

    @property
    def _teacher_label(self) -> str:
        return f"{self.config.teacher.model.get('name', 'teacher')}-{self.data.name}"

    def _trained(self, stage: str, training: Training, views: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "stage": stage,
            "format": FORMATS[stage],
            "data": self._data_identity,
            "model": without_labels(training.model),
            "recipe": recipe_identity(training),
            "views": without_labels(views),
            "seed": training.seed,
            "precision": self.config.precision,
        }

    def _imported_teacher(self, checkpoint: str) -> dict[str, Any]:
        return {
            "stage": "teacher",
            "format": FORMATS["teacher"],
            "checkpoint": checkpoint,
            "model": without_labels(self.config.teacher.model),
            "classes": list(self.data.classes),
            **self.preprocessing,
        }

    @cached_property
    def _data_identity(self) -> dict[str, Any]:
        return {**fingerprint(self.data), **self.preprocessing}

    def _place(self, kind: str, label: str, identity: Mapping[str, Any]) -> Place:
        return Place(Path(self.config.paths.artifacts), kind, label, identity)


@contextmanager
def _environment_recorded() -> Iterator[set[str]]:
    """Whatever `${oc.env:…}` reads from the environment meanwhile, defaults not included."""
    read: set[str] = set()

    def record(key: str, default: str | None = _NO_DEFAULT) -> str | None:
        if os.environ.get(key):
            read.add(os.environ[key])
        return oc.env(key) if default is _NO_DEFAULT else oc.env(key, default)

    OmegaConf.register_new_resolver("oc.env", record, replace=True)
    try:
        yield read
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _left_out(skipped: list[str]) -> str:
    if len(skipped) == 1:
        return f"1 picture cannot be read and is left out: {skipped[0]}"
    return f"{len(skipped)} pictures cannot be read and are left out, the first: {skipped[0]}"


def _name_of(views: Mapping[str, Any]) -> str:
    """The recipe and what is mixed on top of it: `shift`, `mixup`, `shift+mixup`."""
    names = [str(spec.get("name", "")) for spec in (views, views.get("mixing") or {})]
    return "+".join(name for name in names if name not in ("", "none")) or "none"
