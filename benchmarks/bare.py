"""The least that a step can cost: a model on a batch that lies ready, and nothing around it."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from workloads import wait_for

Step = Callable[[], object]


def ready_batch(batch: int, shape: tuple[int, int, int], device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, *shape, generator=generator).to(device, memory_format=torch.channels_last)


def student_step(model: nn.Module, pictures: Tensor, classes: int, compiled: str | None = None) -> Step:
    """Forward, hard cross-entropy, backward, SGD: bfloat16 autocast, channels_last, fused optimizer.

    `compiled` names a mode of torch.compile.
    """
    device = pictures.device
    model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    forward = model if compiled is None else torch.compile(model, mode=compiled)
    labels = torch.arange(len(pictures), device=device) % classes
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16):
            logits = forward(pictures)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def teacher_step(model: nn.Module, pictures: Tensor) -> Step:
    """A forward pass of a model in eval mode, without gradient: bfloat16 autocast, channels_last."""
    model = model.to(pictures.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @torch.no_grad()
    def step() -> Tensor:
        with torch.autocast(pictures.device.type, torch.bfloat16):
            logits: Tensor = model(pictures)
        return logits

    return step


def rate(step: Step, steps: int, batch: int, device: torch.device) -> float:
    """Images a second over so many steps."""
    return steps * batch / seconds(step, steps, device)


def seconds(step: Step, steps: int, device: torch.device) -> float:
    wait_for(device)
    started = time.perf_counter()
    for _ in range(steps):
        step()
    wait_for(device)
    return time.perf_counter() - started
