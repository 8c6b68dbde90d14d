"""Softmax regression representation learning: MSE(c, t) + MSE(W c + b, W t + b), with c the connected embedding.

t is the teacher's embedding, W and b its classifier, which does not train; the connector (linear, batch norm,
ReLU) takes the student's embedding to the teacher's width and trains along. Yang et al. 2021, ICLR (openreview:
ZzwDy_wiWv). Both means are over samples and units, with weights 1 and 1, as in the authors' code.

The second part is the mean square of W (c - t), since b drops out: it needs no logits of the teacher. The trap: the
ReLU at the connector's end is right for what is positive, as embeddings of convolutional networks are.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from distill_cli.errors import ConfigError
from distill_cli.losses.connectors import Connector
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.losses.soften import Temperature


class SoftmaxRegression(nn.Module):
    """`embedding` and `classifier` are the weights of the two parts."""

    classifier_weight: Tensor

    def __init__(self, embedding: float = 1.0, classifier: float = 1.0) -> None:
        super().__init__()
        self.embedding, self.classifier = embedding, classifier

    def fit(self, student: Outputs, teacher: Outputs, setting: Setting) -> None:
        """Raises `ConfigError` where the teacher does not end in a linear classifier."""
        classifier, width = setting.classifier, teacher.embedded.shape[1]
        if classifier is None or classifier.weight.shape != (setting.classes, width):
            raise ConfigError("srrl needs a teacher whose last layer is linear; use loss=kd")
        self.connector = Connector(student.embedded.shape[1], width, batch_norm=True)
        self.register_buffer("classifier_weight", classifier.weight.detach().clone(), persistent=False)

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor, temperature: Temperature) -> Tensor:
        maps = self.connector(student.embedded[:, :, None, None])  # (batch, width, 1, 1)
        missed: Tensor = maps.flatten(start_dim=1).relu() - teacher.embedded
        in_logits = F.linear(missed, self.classifier_weight)
        return self.embedding * missed.square().mean() + self.classifier * in_logits.square().mean()
