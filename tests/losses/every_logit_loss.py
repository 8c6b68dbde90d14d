"""The losses between logits, and what may be expected of each."""

import torch

from distill_cli.losses.cross_entropy import TeacherCrossEntropy
from distill_cli.losses.dist import Dist
from distill_cli.losses.dkd import DecoupledDistillation
from distill_cli.losses.jensen_shannon import JensenShannon
from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.logit_correlation import LogitCorrelation
from distill_cli.losses.logit_mse import LogitMse
from distill_cli.losses.lskd import LogitStandardization
from distill_cli.losses.nkd import NormalizedDistillation
from distill_cli.losses.reverse_kl import ReverseKl
from distill_cli.losses.soft_cross_entropy import SoftCrossEntropy
from distill_cli.losses.ttm import TransformedTeacherMatching

IN_CONF = {  # by the name of the YAML
    "kd": KnowledgeDistillation(),
    "soft_cross_entropy": SoftCrossEntropy(),
    "cross_entropy": TeacherCrossEntropy(),
    "logit_mse": LogitMse(),
    "dkd": DecoupledDistillation(),
    "nkd": NormalizedDistillation(),
    "dist": Dist(),
    "ttm": TransformedTeacherMatching(),
    "wttm": TransformedTeacherMatching(weighted=True),
    "jensen_shannon": JensenShannon(),
    "reverse_kl": ReverseKl(),
    "logit_correlation": LogitCorrelation(),
    "lskd": LogitStandardization(KnowledgeDistillation()),
}
LOSSES = IN_CONF | {
    "logit_mse, mean-free": LogitMse(mean_free=True),
    "jensen_shannon, beta 0.1": JensenShannon(beta=0.1),
    "lskd of dkd": LogitStandardization(DecoupledDistillation()),
}
WITHOUT_TEMPERATURE = {
    "cross_entropy",
    "logit_mse",
    "logit_mse, mean-free",
    "ttm",
    "wttm",
    "logit_correlation",
}
WITH_TARGET = {"dkd", "nkd", "lskd of dkd"}  # the others look at no label
TAKES_TOP_K = {
    "kd",
    "soft_cross_entropy",
    "cross_entropy",
    "jensen_shannon",
    "jensen_shannon, beta 0.1",
    "reverse_kl",
}
LOOKS_ACROSS_SAMPLES = {"dist"}
FEELS_A_SHIFT = {"logit_mse"}
NOT_BEST_AS_THE_TEACHER = {"cross_entropy", "nkd", "ttm", "wttm"}
NEVER_ZERO = NOT_BEST_AS_THE_TEACHER | {"soft_cross_entropy"}


def names(without=()):
    """Of the losses, for `parametrize`."""
    return [name for name in LOSSES if name not in without]


def labels(rows, classes=10):
    return torch.arange(rows) % classes
