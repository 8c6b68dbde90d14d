"""Taps of a kernel that only ever see padding have no gradient, in half precision on a CPU as well."""

import pytest
import torch
from torch import nn

from distill_cli.training.unseen_taps import seen_taps, zero_unseen_taps

SHAPES = [(3, 2, 1, 1), (3, 3, 1, 1), (5, 2, 2, 1), (7, 3, 3, 1), (3, 1, 1, 1), (3, 2, 2, 2), (1, 2, 0, 1)]


def gradient_by_definition(convolution: nn.Conv2d, size: int) -> torch.Tensor:
    """Which taps' weights the result depends on, found by float64 autograd on positive numbers."""
    twin = nn.Conv2d(
        1, 1, convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation
    )
    twin = twin.double()
    twin(torch.ones(1, 1, size, size, dtype=torch.float64)).sum().backward()
    return twin.weight.grad[0, 0] != 0


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), SHAPES)
def test_seen_taps_are_those_that_have_a_gradient(kernel, stride, padding, dilation, size):
    if size + 2 * padding < dilation * (kernel - 1) + 1:
        pytest.skip("the kernel does not fit")
    convolution = nn.Conv2d(4, 4, kernel, stride, padding, dilation)
    assert torch.equal(seen_taps(convolution, (size, size)), gradient_by_definition(convolution, size))


def test_padding_by_name_is_understood():
    same = nn.Conv2d(1, 1, 3, padding="same")
    assert seen_taps(same, (1, 1)).sum() == 1 and seen_taps(same, (4, 4)).all()
    assert seen_taps(nn.Conv2d(1, 1, 3, padding="valid"), (3, 3)).all()


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.Flatten()
    )


def test_gradients_in_bfloat16_are_those_in_float32_whatever_lies_in_memory():
    torch.manual_seed(0)
    model, pictures = network(), torch.randn(16, 3, 2, 2)
    model(pictures).square().sum().backward()
    expected = model[3].weight.grad.clone()
    assert zero_unseen_taps(model, (3, 2, 2)) == 2
    for _ in range(8):
        litter = [torch.full((size,), torch.inf) for size in (1_000, 20_000, 80_000, 300_000)]
        del litter
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(pictures).float().square().sum()
        loss.backward()
        error = (model[3].weight.grad - expected).norm() / expected.norm()
        assert error < 0.05


def test_a_model_that_fits_its_pictures_is_left_alone_and_keeps_its_modes():
    model = network().train()
    model[1].eval()
    assert zero_unseen_taps(model, (3, 8, 8)) == 0
    assert model.training and not model[1].training and not model[3].weight._backward_hooks


class PadsItself(nn.Conv2d):
    """As timm's Conv2dSame: pads in its own forward, and says padding=0."""

    def forward(self, pictures):
        return super().forward(nn.functional.pad(pictures, [1, 1, 1, 1]))


def test_a_convolution_that_pads_itself_is_left_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), PadsItself(4, 4, 3), nn.Flatten())
    assert zero_unseen_taps(model, (3, 2, 2)) == 1  # the first one
    assert not model[1].weight._backward_hooks


class Twice(nn.Module):
    """One convolution at two sizes: what the small picture does not show the large one does."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, pictures):
        seen = self.convolution(pictures).mean((2, 3), keepdim=True)
        return self.convolution(seen).flatten(1)


def test_weights_that_are_used_twice_keep_what_either_use_sees():
    assert zero_unseen_taps(Twice(), (3, 8, 8)) == 0
    assert zero_unseen_taps(Twice(), (3, 1, 1)) == 1
