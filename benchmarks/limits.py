"""The least time that a training step can take on a device, worked out from what it was measured to do.

- launching: kernels of the step × the time to launch the smallest one
- graph: as many of the smallest kernels, one after the other, replayed as one CUDA graph
- traffic: bytes that must move over the device's rate of copying. Each module's input and output is counted as
  read or written once a use, in 2 bytes; what is no module (ReLU as a function, the residual sum) is taken to be
  fused and free. Where a cache holds a step's activations, a step may be faster
- arithmetic: 3 × multiply-adds × 2 × batch over the rate of a large bfloat16 matrix product

Every function takes the device, so that all but graphs can be tried on a CPU. `bound` is the
larger of traffic and arithmetic: launches are avoided by graphs, and kernels by fusing them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from bare import Step, seconds
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from workloads import wait_for

from distill_cli.models.cost import count_macs

HALF, SINGLE = 2, 4  # bytes of a number


@dataclass(frozen=True)
class Device:
    """What a device was measured to do."""

    device: torch.device
    launch: float  # seconds to launch the smallest kernel
    copying: float  # bytes a second, read and written together
    multiplying: float  # floating-point operations a second of a bfloat16 matrix product

    @classmethod
    def measured(cls, device: torch.device) -> Device:
        return cls(device, launch_seconds(device), copy_rate(device), matmul_rate(device))


@dataclass(frozen=True)
class Limits:
    """Seconds a step."""

    launching: float
    graph: float | None  # None where the device has no graphs
    traffic: float
    arithmetic: float

    @property
    def bound(self) -> float:
        """Of a perfect implementation."""
        return max(self.traffic, self.arithmetic)

    def named(self) -> dict[str, float]:
        return {name: value for name, value in asdict(self).items() if value is not None}


def limits_of(model: nn.Module, step: Step, pictures: Tensor, device: Device) -> Limits:
    """Of a training step of `model` on `pictures`, which `step` does."""
    kernels = count_kernels(step, device.device)
    macs = count_macs(model, tuple(pictures.shape[1:]))  # type: ignore[arg-type]
    return Limits(
        launching=kernels * device.launch,
        graph=graph_seconds(kernels, device.device) if device.device.type == "cuda" else None,
        traffic=step_bytes(model, pictures) / device.copying,
        arithmetic=3 * 2 * macs * len(pictures) / device.multiplying,
    )


def count_kernels(step: Step, device: torch.device) -> int:
    """Kernels that a step starts; on a CPU the operations that call no other."""
    step()
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as recorded:
        step()
        wait_for(device)
    events = [event for event in recorded.events() or [] if not event.is_user_annotation]
    if on_gpu:
        return sum(event.device_type == DeviceType.CUDA for event in events)
    return sum(event.name.startswith("aten::") and not event.cpu_children for event in events)


def step_bytes(model: nn.Module, pictures: Tensor) -> int:
    """Bytes that a step reads and writes at least: activations in half precision, weights and momentum in single.

    Activations: forward reads the input and writes the output; backward reads the output's gradient and the
    input, and writes the input's gradient. Weights: cast once (read single, write half), read in half by forward
    and backward, a gradient written and read; SGD reads weight and momentum and writes both.
    """
    activations = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal activations
        activations += 3 * inputs[0].numel() + 2 * output.numel()

    leaves = [module for module in model.modules() if not list(module.children()) and has_work(module)]
    handles = [module.register_forward_hook(count) for module in leaves]
    with torch.no_grad():
        model(pictures[:2])  # two are enough: activations grow with the batch
    for handle in handles:
        handle.remove()
    weights = sum(parameter.numel() for parameter in model.parameters())
    return HALF * activations * len(pictures) // 2 + weights * (3 * HALF + 3 * SINGLE + 4 * SINGLE)


def has_work(module: nn.Module) -> bool:
    return not isinstance(module, nn.Identity | nn.Flatten | nn.Dropout)


def launch_seconds(device: torch.device, launches: int = 20_000) -> float:
    """From the host's call to the next: the smallest kernel, over and over."""
    number = torch.zeros(1, device=device)
    return _per_call(lambda: number.add_(1), launches, device)


def copy_rate(device: torch.device) -> float:
    megabytes = 1024 if device.type == "cuda" else 128
    source = torch.zeros(megabytes << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _per_call(lambda: target.copy_(source), 20, device)


def matmul_rate(device: torch.device) -> float:
    side = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / _per_call(lambda: left @ right, 20, device)


def graph_seconds(kernels: int, device: torch.device) -> float:
    """One replay of a CUDA graph with so many of the smallest kernels, one after the other."""
    number = torch.zeros(1, device=device)
    graph = torch.cuda.CUDAGraph()
    number.add_(1)
    torch.cuda.synchronize(device)
    with torch.cuda.graph(graph):
        for _ in range(kernels):
            number.add_(1)
    return _per_call(graph.replay, 100, device)


def _per_call(call: Callable[[], object], calls: int, device: torch.device) -> float:
    """Median of three."""
    seconds(call, calls // 10 + 1, device)
    return sorted(seconds(call, calls, device) / calls for _ in range(3))[1]
