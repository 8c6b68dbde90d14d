"""From `device`, `precision` and `compile` as written to what this machine does."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from distill_cli.errors import ConfigError


@dataclass(frozen=True)
class Runtime:
    """Where and how arithmetic happens in this process."""

    device: torch.device
    dtype: torch.dtype  # of autocast; float32 is no autocast
    channels_last: bool
    compile: bool

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for a forward pass."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling: at work for float16, a pass-through otherwise."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def place(self, model: nn.Module) -> nn.Module:
        """The model on this device, in this memory format."""
        return model.to(device=self.device, memory_format=self.memory_format)  # type: ignore[call-overload, no-any-return]

    def describe(self) -> dict[str, str]:
        return {
            "device": device_name(self.device),
            "precision": {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[self.dtype],
            "memory_format": "channels_last" if self.channels_last else "contiguous",
            "compile": str(self.compile).lower(),
            "threads": str(torch.get_num_threads()),
        }


def resolve(device: str, precision: str, compile: str) -> Runtime:  # noqa: A002 - the override's name
    """Raises `ConfigError` where this machine has not what is asked for."""
    where = _device(device)
    dtype = _dtype(precision, where)
    return Runtime(where, dtype, where.type == "cuda" or dtype != torch.float32, compile == "true")


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device}: {torch.cuda.get_device_name(device)}"
    return str(device)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device={name}: must be auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device={name}: must be auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(f"device={name}: this machine shows {count} CUDA devices; use device=auto or cpu")
    return device


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision == "auto":
        return _fastest_dtype(device)
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where GPUs multiply it, float16 on older ones, float32 on a CPU."""
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
