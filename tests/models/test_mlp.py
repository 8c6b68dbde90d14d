from __future__ import annotations

import pytest
import torch

from distill_cli.models.cost import count_macs, count_parameters
from distill_cli.models.mlp import Mlp


def test_24_hidden_units_on_digits_make_1810_parameters() -> None:
    model = Mlp(num_classes=10, in_channels=1, image_size=(8, 8), depth=1, width=24)
    assert count_parameters(model) == 1_810
    assert count_macs(model, (1, 8, 8)) == 64 * 24 + 24 * 10


def test_depth_zero_is_one_linear_layer() -> None:
    model = Mlp(num_classes=10, in_channels=3, image_size=(4, 6), depth=0, width=1)
    assert count_parameters(model) == 3 * 4 * 6 * 10 + 10


def test_dropout_acts_in_train_mode_only() -> None:
    model = Mlp(
        num_classes=10, in_channels=1, image_size=(8, 8), depth=2, width=64, dropout=0.5, input_dropout=0.2
    )
    pictures = torch.rand(4, 1, 8, 8)
    assert not torch.equal(model(pictures), model(pictures))
    model.eval()
    assert torch.equal(model(pictures), model(pictures))


@pytest.mark.parametrize(("depth", "width"), [(-1, 24), (1, 0)])
def test_sizes_that_make_no_sense_are_refused(depth: int, width: int) -> None:
    with pytest.raises(ValueError, match="depth >= 0 and width >= 1"):
        Mlp(num_classes=10, in_channels=1, image_size=(8, 8), depth=depth, width=width)
