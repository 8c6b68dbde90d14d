"""CRD with a transfer set: what is never shown is never drawn, nor looked at."""

import pytest
import torch

from distill_cli.errors import ConfigError
from distill_cli.losses.crd import ContrastiveDistillation
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting

LABELS = torch.arange(60) % 3
SHOWN = (LABELS != 2).nonzero().squeeze(1)  # 40 samples of two classes


def outputs(index):
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(60, width, generator=generator)[index] for width in (3, 5))
    return Outputs(None, embedding=student, index=index), Outputs(None, embedding=teacher)


def fitted(labels, shown, **arguments):
    torch.manual_seed(1)
    loss = ContrastiveDistillation(width=4, **arguments)
    loss.fit(*outputs(torch.tensor([0, 1])), Setting(labels, 3, shown=shown))
    return loss


@pytest.mark.parametrize("negatives", [2, 16384], ids=["few", "all"])
def test_negatives_are_of_the_transfer_set(negatives):
    loss = fitted(LABELS, SHOWN, negatives=negatives)
    drawn = torch.cat([loss._others(torch.device("cpu")) for _ in range(50)])
    assert set(drawn.tolist()) == set(SHOWN.tolist())
    assert loss.negatives == min(negatives, 20)


def test_what_is_remembered_of_the_rest_has_no_say():
    loss = fitted(LABELS, SHOWN)
    for memory in (loss.of_student, loss.of_teacher):
        memory[LABELS == 2] = torch.nan
    assert loss(*outputs(SHOWN[:8]), None, 4.0).isfinite()


def test_all_that_is_shown_is_as_if_there_were_nothing_else():
    """The same loss as of a train part that is the transfer set, for the same memories."""
    part, alone = fitted(LABELS, SHOWN), fitted(LABELS[SHOWN], None)
    alone.load_state_dict(
        {**part.state_dict(), "of_student": part.of_student[SHOWN], "of_teacher": part.of_teacher[SHOWN]}
    )
    student, teacher = outputs(SHOWN[:8])
    there = Outputs(None, embedding=student.embedding, index=torch.arange(8))
    torch.testing.assert_close(part(student, teacher, None, 4.0), alone(there, teacher, None, 4.0))


def test_one_class_alone_is_refused():
    with pytest.raises(ConfigError, match="two classes at least"):
        fitted(LABELS, (LABELS == 2).nonzero().squeeze(1))
