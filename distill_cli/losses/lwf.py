"""Learning without forgetting: T² · KL(softmax(old / T) ‖ softmax(new over the old classes / T)), batch mean.

Li and Hoiem 2016, arXiv:1606.09282, T = 2. `old` are the logits of the student that this one goes on from
(`student.init`), for the new pictures: in place of a teacher's. The old model knew fewer classes; only their
columns of the new one are compared. It has a temperature of its own, since the other one is chosen for a teacher.

The trap: the softmax runs over the old classes alone. Over all of them, the old model would be read as denying
the new ones. The paper's loss has no T², so its weight of 1 is 1 / T² here: 0.25.
"""

from __future__ import annotations

from torch import Tensor, nn

from distill_cli.errors import ConfigError
from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature


class LearningWithoutForgetting(nn.Module):
    known: Tensor  # columns of the classes that the old model knows, in its order, (known,)

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature={temperature:g} must be above 0")
        self.temperature = temperature
        self.kd = KnowledgeDistillation()

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` where there is no old model."""
        if setting.known_classes is None:
            raise ConfigError("loss=lwf keeps what a student knows already; name it with student.init=PATH")
        known, old = len(setting.known_classes), teacher.logits.shape[-1]
        assert known == old, f"{known} columns for the {old} classes of the old model"
        self.register_buffer("known", setting.known_classes.clone())

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        new = student.logits.index_select(1, self.known)
        return self.kd(Outputs(new), teacher, labels, self.temperature)
