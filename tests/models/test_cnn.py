from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from distill_cli.models.cnn import Cnn
from distill_cli.models.cost import count_parameters


def test_the_defaults_are_the_flower_student_of_144261_parameters() -> None:
    assert count_parameters(Cnn(num_classes=5, in_channels=3)) == 144_261


def test_the_forward_pass_is_that_of_the_plain_layers_one_after_the_other() -> None:
    model = Cnn(num_classes=5, in_channels=3)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    pictures = torch.rand(2, 3, 32, 32)
    features = torch.relu(layers[1](nn.functional.max_pool2d(torch.relu(layers[0](pictures)), 4)))
    expected = layers[3](torch.relu(layers[2](features.mean(dim=(2, 3)))))
    torch.testing.assert_close(model(pictures), expected)


def test_batch_norm_replaces_the_bias_of_every_convolution() -> None:
    model = Cnn(num_classes=5, in_channels=3, widths=(8, 16), convs_per_stage=2, batch_norm=True)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == len([m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]) == 4
    assert all(convolution.bias is None for convolution in convolutions)


def test_without_a_hidden_layer_the_pooled_channels_are_classified() -> None:
    assert Cnn(num_classes=5, in_channels=3, widths=(8, 16), hidden=0).fc.in_features == 16


@pytest.mark.parametrize("size", [1, 5, 8, 28])
def test_pooling_leaves_something_of_the_smallest_picture(size: int) -> None:
    model = Cnn(num_classes=10, in_channels=1, widths=(4, 8, 16, 32), pool=4)
    assert model(torch.rand(2, 1, size, size)).shape == (2, 10)


@pytest.mark.parametrize("wrong", [{"widths": ()}, {"convs_per_stage": 0}, {"pool": 0}, {"hidden": -1}])
def test_sizes_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one width"):
        Cnn(num_classes=5, in_channels=3, **wrong)
