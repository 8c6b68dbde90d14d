"""How long a forward pass takes, as a user of the model would see it."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from distill_cli.runtime.device import Runtime

BATCH_SIZES = (1, 64)


def latency(model: nn.Module, image_shape: tuple[int, int, int], runtime: Runtime) -> dict[str, float]:
    """Milliseconds of a forward pass in eval mode, median and 95th percentile, for each batch size."""
    return {
        f"latency_ms_b{batch_size}_{name}": value
        for batch_size in BATCH_SIZES
        for name, value in _percentiles(model, (batch_size, *image_shape), runtime).items()
    }


@torch.inference_mode()
def _percentiles(
    model: nn.Module, shape: tuple[int, ...], runtime: Runtime, seconds: float = 0.3, most: int = 200
) -> dict[str, float]:
    inputs = torch.zeros(shape, device=runtime.device).contiguous(memory_format=runtime.memory_format)
    for _ in range(3):
        _timed(model, inputs, runtime)
    times: list[float] = []
    while len(times) < 10 or (sum(times) < seconds * 1000 and len(times) < most):
        times.append(_timed(model, inputs, runtime))
    return {"p50": statistics.median(times), "p95": statistics.quantiles(times, n=20)[-1]}


def _timed(model: nn.Module, inputs: torch.Tensor, runtime: Runtime) -> float:
    start = time.perf_counter()
    with runtime.autocast():
        model(inputs)
    if runtime.device.type == "cuda":
        torch.cuda.synchronize(runtime.device)
    return (time.perf_counter() - start) * 1000
