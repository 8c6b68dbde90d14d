"""Feature maps for tests of losses, and losses fitted to them."""

import torch

from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting


def maps(seed, *shapes):
    """Normally distributed, float64."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


def narrow_and_wide():
    """Of a student and of a teacher with more channels, three layers each."""
    student = maps(0, (4, 4, 8, 8), (4, 6, 4, 4), (4, 6, 2, 2))
    return student, maps(1, (4, 6, 8, 8), (4, 8, 4, 4), (4, 8, 2, 2))


def fitted(loss, student, teacher, *, seed=0, double=True):
    """The loss with its parts made, as before a training."""
    setting = Setting(labels=torch.zeros(10, dtype=torch.long), classes=10)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        shown = (tuple(m.detach()[:2] for m in features) for features in (student, teacher))
        loss.fit(*(Outputs(None, features=features) for features in shown), setting)
    return loss.double() if double else loss


def call(loss, student, teacher):
    """Its value, ()."""
    sides = (Outputs(None, features=tuple(features)) for features in (student, teacher))
    return loss(*sides, torch.zeros(len(teacher[0]), dtype=torch.long), 4.0)
