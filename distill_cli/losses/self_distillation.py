"""Learning from one's own former predictions: T² · KL(softmax(former / T) ‖ softmax(student / T)), batch mean.

`former` are the student's own logits when it last saw the sample, an epoch ago. Kim et al. 2021, PS-KD,
arXiv:2006.12000: targets (1 - a) · label + a · former prediction, at T = 1, with a growing linearly to 0.8. That is
(1 - alpha) · hard + alpha · soft with the gradient of this loss, `alpha=0.8`, and the weight schedule of the YAML.

The trap: at a sample's first visit there is no former prediction; such a row costs nothing and still counts in the
mean. Of a step with several views of a sample the first is remembered. Former logits are kept in float16, less the
row's largest one, which rounds them as `soft_labels=float16` does a teacher's. They are a buffer, so a resumed run
has them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distill_cli.losses.kd import softened_kl
from distill_cli.losses.outputs import Outputs, at_least_float32
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature, scaled_mean
from distill_cli.losses.upload import upload


class SelfDistillation(nn.Module):
    """Its memory takes 2 bytes a sample and class. In eval mode it remembers nothing new."""

    former: Tensor  # (samples, classes)
    seen: Tensor  # whether there is a former prediction, (samples,)

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature={temperature:g} must be above 0")
        self.temperature = temperature

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` where views show mixtures of samples."""
        setting.require_samples("self_distillation")
        self.views = setting.views
        classes = student.logits.shape[-1]
        self.register_buffer("former", torch.zeros(setting.samples, classes, dtype=torch.float16))
        self.register_buffer("seen", torch.zeros(setting.samples, dtype=torch.bool))

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        assert student.index is not None, "whose predictions are these?"
        index = upload(student.index, self.former.device)
        logits = at_least_float32(student.logits)
        former, seen = self.former[index].to(logits.dtype), self.seen[index]
        if self.training:
            self._remember(index[:: self.views], logits[:: self.views].detach())
        divergences = softened_kl(student, Outputs(former), self.temperature)
        return scaled_mean(divergences * seen, self.temperature)

    def _remember(self, index: Tensor, logits: Tensor) -> None:
        shifted = logits - logits.amax(dim=-1, keepdim=True)
        lowest = torch.finfo(torch.float16).min
        self.former.index_copy_(0, index, shifted.clamp(min=lowest).to(torch.float16))
        self.seen.index_fill_(0, index, True)
