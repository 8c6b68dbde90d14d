"""A student's peers before training, and what they and the student are trained for together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from distill_cli.models.peers import Peers
from distill_cli.plan import Plan
from distill_cli.stages.jobs.objective import distillation
from distill_cli.stages.jobs.workplace import new_model
from distill_cli.training.mutual import Mutual


def with_peers(plan: Plan, student: nn.Module) -> Peers:
    """The student, and peers with initialisations of their own."""
    plans = _plans(plan)
    next(plans)
    peers = [
        new_model(own, model, own.config.student.seed) for own, model in zip(plans, plan.peers, strict=True)
    ]
    return Peers([student, *peers])


def mutual(plan: Plan, together: Peers, device: torch.device) -> Mutual:
    """Each has a lesson of its own."""
    plans = zip(_plans(plan), together.members, strict=True)
    return Mutual(tuple(distillation(own, member, device) for own, member in plans))


def _plans(plan: Plan) -> Iterator[Plan]:
    """The student's, then that of each peer: the same with the next seed."""
    config = plan.config
    for number in range(1 + len(plan.peers)):
        student = replace(config.student, seed=config.student.seed + number)
        yield replace(plan, config=replace(config, student=student))
