"""What `auto` should be: training steps of shipped models in float32 and bfloat16, channels_last and not.

Each on a batch that lies ready: forward, hard cross-entropy, backward, fused SGD. The four ways in turn; images a
second, medians. Prints one line a model and writes benchmarks/results/precision.json. `make bench NAME=precision`.
Knobs: BENCH_ROUNDS (of one step each), BENCH_THREADS.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bare import ready_batch, seconds
from common import in_turn, knob, report
from omegaconf import OmegaConf
from torch.nn import functional as F

from distill_cli.hydra_app.composition import config_dir
from distill_cli.models.build import build_model
from distill_cli.models.cost import count_layers, count_macs
from distill_cli.runtime.allocator import keep_freed_memory

ROUNDS = knob("ROUNDS", 15)
WAYS = {  # precision, memory format
    "fp32": (torch.float32, torch.contiguous_format),
    "fp32, channels_last": (torch.float32, torch.channels_last),
    "bf16": (torch.bfloat16, torch.contiguous_format),
    "bf16, channels_last": (torch.bfloat16, torch.channels_last),
}
CASES = {  # shape, batch
    "resnet8x4": ((3, 32, 32), 64),
    "resnet20": ((3, 32, 32), 64),
    "cnn": ((3, 32, 32), 64),
    "cnn_deep": ((3, 32, 32), 64),
    "cnn_tiny": ((1, 28, 28), 128),
    "mnist_2x800": ((1, 28, 28), 128),
    "mnist_2x1200": ((1, 28, 28), 128),
    "cnn_digits": ((1, 8, 8), 64),
    "mlp_24": ((1, 8, 8), 64),
    "mobilenet_v2": ((3, 128, 128), 32),
    "resnet18": ((3, 128, 128), 32),
}


def main() -> None:
    torch.set_num_threads(knob("THREADS", torch.get_num_threads()))
    keep_freed_memory()
    figures: dict[str, list[float]] = {}
    notes: dict[str, object] = {}
    for name, (shape, batch) in CASES.items():
        found = measure(name, shape, batch)
        figures |= {f"{name}: {way}, images/s": values for way, values in found.items()}
        model = network(name, shape)
        notes[f"{name}: multiply-adds a layer"] = round(count_macs(model, shape) / count_layers(model))
        rates = " | ".join(f"{statistics.median(values):,.0f}" for values in found.values())
        print(f"| {name}, {shape[1]}×{shape[2]} | {rates} |")
    report("precision", figures, notes)


def measure(name: str, shape: tuple[int, int, int], batch: int) -> dict[str, list[float]]:
    steps = {way: step(network(name, shape), shape, batch, *how) for way, how in WAYS.items()}
    cpu = torch.device("cpu")
    for warm_up in steps.values():
        seconds(warm_up, 2, cpu)
    repeats = max(
        1, round(0.02 / seconds(steps["fp32"], 1, cpu))
    )  # a step may be shorter than the clock's noise
    found = in_turn(
        ROUNDS, **{way: (lambda one=one: seconds(one, repeats, cpu) / repeats) for way, one in steps.items()}
    )
    return {way: [batch / spent for spent in values] for way, values in found.items()}


def network(name: str, shape: tuple[int, int, int]) -> torch.nn.Module:
    spec: Any = OmegaConf.to_container(OmegaConf.load(Path(config_dir()) / "model" / f"{name}.yaml"))
    return build_model(spec, num_classes=100, image_shape=shape, seed=0, pretrained=False)


def step(
    model: torch.nn.Module,
    shape: tuple[int, int, int],
    batch: int,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
) -> Callable[[], object]:
    model = model.to(memory_format=memory_format).train()  # type: ignore[call-overload]
    pictures = ready_batch(batch, shape, torch.device("cpu")).contiguous(memory_format=memory_format)
    labels = torch.arange(batch) % 100
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True)

    def one() -> None:
        optimizer.zero_grad(set_to_none=True)
        if dtype == torch.float32:
            logits = model(pictures)
        else:
            with torch.autocast("cpu", dtype):
                logits = model(pictures)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return one


if __name__ == "__main__":
    main()
