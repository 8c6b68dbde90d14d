"""What benchmarks/gpu.py works out, tried on a CPU with models whose figures can be counted by hand."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture
def limits(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import limits

    yield limits
    for name in ("limits", "bare", "workloads"):
        sys.modules.pop(name, None)


CPU = torch.device("cpu")


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 10, bias=False))


def test_bytes_of_a_linear_layer_are_those_counted_by_hand(limits):
    activations = 2 * (3 * 12 + 2 * 10) * 8  # half precision, a batch of 8
    weights = 120 * (3 * 2 + 3 * 4 + 4 * 4)
    assert limits.step_bytes(linear(), torch.zeros(8, 3, 2, 2)) == activations + weights


def test_bytes_leave_no_hook_behind(limits):
    model = linear()
    limits.step_bytes(model, torch.zeros(2, 3, 2, 2))
    assert not any(module._forward_hooks for module in model.modules())


def test_kernels_of_a_step_are_the_operations_it_ends_in(limits):
    one, two = torch.ones(4), torch.ones(4)
    assert limits.count_kernels(lambda: one.add_(two), CPU) == 1
    assert limits.count_kernels(lambda: one.add_(two).mul_(two), CPU) == 2


def test_bounds_follow_from_the_rates_of_the_device(limits):
    pictures = torch.zeros(8, 3, 2, 2)
    device = limits.Device(CPU, launch=1e-6, copying=1e9, multiplying=1e9)
    one = torch.ones(4)
    found = limits.limits_of(linear(), lambda: one.add_(one), pictures, device)
    assert found.launching == 1e-6 and found.graph is None
    assert found.traffic == limits.step_bytes(linear(), pictures) / 1e9
    assert found.arithmetic == pytest.approx(6 * 120 * 8 / 1e9)
    assert found.bound == max(found.traffic, found.arithmetic)


def test_rates_of_a_device_are_measured(limits):
    device = limits.Device.measured(CPU)
    assert 0 < device.launch < 1e-2 and device.copying > 1e7 and device.multiplying > 1e7
