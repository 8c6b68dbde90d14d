"""From `device`, `precision` and `compile` as written to what this machine does with this work.

What `auto` comes to follows from the machine and from the size of the work alone, never from a stopwatch: the same
command on the same machine must give the same bytes. docs/benchmarks.md has the measurements behind the numbers.
"""

from __future__ import annotations

import math
import os
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from distill_cli.errors import ConfigError
from distill_cli.runtime.allocator import keep_freed_memory
from distill_cli.runtime.cores import cores

LEAST_MACS = 300_000  # of a layer and sample, below which casting costs about what bfloat16 saves
LEAST_SHARED_MACS = (
    5e6  # of a batch's forward pass, below which a second thread is waited for longer than it works
)
LEAST_STEPS_CUDA = 20_000  # compilation takes about a minute, and saves some milliseconds a step
LEAST_MACS_AMX = 3e13  # of a training: about five minutes, of which compilation (25 s) saves a fifth
SHAPES = 128  # compiled of one model class in a process
MOST_GRAPHED_MACS = 1e11  # of a batch's forward pass: above it, a GPU is busy while the host launches kernels


@dataclass(frozen=True)
class Work:
    """How much is to be computed, as far as it is known."""

    macs: float = math.inf  # multiply-adds of the forward pass of one sample
    layers: int = 1  # that multiply: convolutions and linear layers
    steps: int = 0  # of training; 0: nothing is trained
    batch: int = 1  # samples in one step
    parts: int = 1  # of a step, whose gradients are added up

    @property
    def training_macs(self) -> float:
        """Forward once, backward twice as much."""
        return 3 * self.macs * self.steps * self.batch if self.steps else 0.0


@dataclass(frozen=True)
class Runtime:
    """Where and how arithmetic happens for one model in this process."""

    device: torch.device
    dtype: torch.dtype  # of autocast; float32 is no autocast
    channels_last: bool
    compile: bool
    graphs: bool = False  # compiled steps are replayed as CUDA graphs
    threads: int = 1  # of the host's arithmetic

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

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """With this many threads."""
        if self.device.type == "cpu":
            keep_freed_memory()
        with _threaded(self.threads):
            yield

    def seed(self, number: int) -> None:
        """Start torch's generators, of the host and of the device, from `number`.

        `torch.manual_seed` would do the same in half a millisecond, and import the compiler's front end for it.
        """
        torch.default_generator.manual_seed(number)
        if self.device.type == "cuda":
            torch.cuda.manual_seed_all(number)

    def place(self, model: nn.Module) -> nn.Module:
        """The model on this device, in this memory format."""
        return model.to(device=self.device, memory_format=self.memory_format)  # type: ignore[call-overload, no-any-return]

    def compiled(self, model: nn.Module) -> nn.Module:
        """What training calls in the model's place. Shapes are fixed; an epoch's last batch is a second one."""
        if not self.compile:
            return model
        _let_compile_many_shapes()
        mode = "reduce-overhead" if self.graphs else "default"
        return torch.compile(model, mode=mode, dynamic=False)  # type: ignore[return-value]

    def describe(self) -> dict[str, str]:
        return {
            "device": device_name(self.device),
            "precision": {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[self.dtype],
            "memory_format": "channels_last" if self.channels_last else "contiguous",
            "compile": "CUDA graphs" if self.compile and self.graphs else str(self.compile).lower(),
            "threads": str(self.threads),
        }

    def __str__(self) -> str:
        """`cpu (bf16, channels_last, 2 threads)`"""
        found = self.describe()
        extras = [found["precision"], found["memory_format"]]
        extras += {"true": ["compiled"], "false": []}.get(found["compile"], [f"compiled, {found['compile']}"])
        extras += [counted_threads(self.threads)] if self.device.type == "cpu" else []
        return f"{found['device']} ({', '.join(extras)})"


def resolve(device: str, precision: str, compile: str, work: Work | None = None) -> Runtime:  # noqa: A002 - the override's name
    """Raises `ConfigError` where this machine has not what is asked for."""
    where, work = _device(device), work or Work()
    dtype = _dtype(precision, where, work)
    pays = _pays_to_compile(where, work) if compile == "auto" else compile == "true"
    graphs = where.type == "cuda" and work.parts == 1 and work.macs * work.batch <= MOST_GRAPHED_MACS
    return Runtime(
        where, dtype, _is_channels_last(where, dtype), pays, pays and graphs, _threads(where, work)
    )


@contextmanager
def _threaded(threads: int) -> Iterator[None]:
    """A process has one such number, and the next piece of work may want another."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread() -> AbstractContextManager[None]:
    """For what shares its cores with other processes: threads that wait for one another spin."""
    return _threaded(1)


def counted_threads(threads: int | str) -> str:
    return "1 thread" if int(threads) == 1 else f"{threads} threads"


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


def _dtype(precision: str, device: torch.device, work: Work) -> torch.dtype:
    if precision == "auto":
        return _fastest_dtype(device) if work.macs >= LEAST_MACS * max(1, work.layers) else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where it is multiplied in hardware, float16 on older GPUs, float32 on older CPUs."""
    if device.type == "cpu":
        return torch.bfloat16 if _multiplies_bfloat16() else torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def _multiplies_bfloat16() -> bool:
    return _cpu_has("avx512_bf16") or _has_amx()


def _has_amx() -> bool:
    return _cpu_has("amx_tile")


def _cpu_has(feature: str) -> bool:
    """As torch sees it, which also asks the system whether the feature may be used."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:  # before torch 2.11
        return bool(getattr(torch.cpu, f"_is_{feature}_supported", lambda: False)())
    return bool(capabilities().get(feature, False))


def _is_channels_last(device: torch.device, dtype: torch.dtype) -> bool:
    """It makes convolutions in bfloat16 up to four times as fast, and most in float32 on a CPU 1.2 to 1.8 times."""
    return device.type == "cpu" or dtype != torch.float32


def _threads(device: torch.device, work: Work) -> int:
    """One for small work: threads meet after every operation, and where one is not scheduled the other spins."""
    is_small = device.type == "cpu" and work.macs * work.batch < LEAST_SHARED_MACS
    return 1 if is_small else min(torch.get_num_threads(), cores())


def _pays_to_compile(device: torch.device, work: Work) -> bool:
    """Where the run is longer than the compilation by far. Without AMX a CPU gains nothing (measured)."""
    if device.type == "cuda":
        return work.steps >= LEAST_STEPS_CUDA and _has_triton(device)
    return _has_amx() and work.training_macs >= LEAST_MACS_AMX and _has_compiler()


def _has_triton(device: torch.device) -> bool:
    """Inductor writes triton for a GPU since Volta, which compiles its launcher with a C compiler."""
    compilers = (os.environ.get("CC", ""), "gcc", "clang", "cc")
    is_new = torch.cuda.get_device_capability(device) >= (7, 0)
    return (
        is_new and find_spec("triton") is not None and any(shutil.which(name) for name in compilers if name)
    )


def _has_compiler() -> bool:
    """Inductor writes C++ for a CPU, which includes Python's header."""
    compilers = (os.environ.get("CXX", ""), "g++", "clang++")
    has_header = Path(sysconfig.get_path("include"), "Python.h").is_file()
    return has_header and any(shutil.which(name) for name in compilers if name)


def _let_compile_many_shapes() -> None:
    """A training has two shapes, a sweep many trainings; past 8 dynamo would go on without compiling, silently."""
    from torch._dynamo import config

    for limit in ("recompile_limit", "cache_size_limit"):  # today's name, and yesterday's
        if hasattr(config, limit):
            setattr(config, limit, max(getattr(config, limit), SHAPES))
