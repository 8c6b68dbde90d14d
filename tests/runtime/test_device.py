"""What `auto` comes to: a matter of the machine and of the size of the work, never of a stopwatch."""

import pytest
import torch
from torch import nn

from distill_cli.runtime import device
from distill_cli.runtime.device import Work, resolve

LARGE = Work(macs=4e7, steps=100_000, batch=64)
SMALL = Work(macs=2e3, steps=100_000, batch=64)


@pytest.fixture
def cpu_with(monkeypatch):
    def pretend(*features: str) -> None:
        monkeypatch.setattr(device, "_cpu_has", lambda feature: feature in features)
        monkeypatch.setattr(device, "_has_compiler", lambda: True)

    return pretend


@pytest.mark.parametrize("feature", ["avx512_bf16", "amx_tile"])
def test_auto_is_bfloat16_where_a_cpu_multiplies_it(cpu_with, feature):
    cpu_with(feature)
    assert resolve("cpu", "auto", "auto", LARGE).dtype == torch.bfloat16


def test_auto_is_float32_where_a_cpu_does_not_multiply_bfloat16(cpu_with):
    cpu_with("avx512_f")
    assert resolve("cpu", "auto", "auto", LARGE).dtype == torch.float32


def test_auto_is_float32_for_a_model_too_small_to_be_cast(cpu_with):
    cpu_with("avx512_bf16")
    assert resolve("cpu", "auto", "auto", SMALL).dtype == torch.float32


def test_many_thin_layers_are_small_however_many_they_are(cpu_with):
    cpu_with("avx512_bf16")
    assert resolve("cpu", "auto", "auto", Work(macs=2.5e6, layers=22)).dtype == torch.float32
    assert resolve("cpu", "auto", "auto", Work(macs=2.5e6, layers=3)).dtype == torch.bfloat16


def test_what_is_asked_for_wins_over_what_is_fast(cpu_with):
    cpu_with("avx512_bf16", "amx_tile")
    runtime = resolve("cpu", "fp32", "false", LARGE)
    assert (runtime.dtype, runtime.compile) == (torch.float32, False)
    assert resolve("cpu", "bf16", "true", SMALL).dtype == torch.bfloat16
    assert resolve("cpu", "bf16", "true", SMALL).compile


def test_auto_compiles_a_long_training_where_that_was_measured_to_pay(cpu_with):
    cpu_with("avx512_bf16", "amx_tile")
    assert resolve("cpu", "auto", "auto", LARGE).compile
    assert not resolve("cpu", "auto", "auto", Work(macs=4e7, steps=100, batch=64)).compile
    assert not resolve("cpu", "auto", "auto", Work(macs=4e7)).compile  # nothing is trained
    cpu_with("avx512_bf16")
    assert not resolve("cpu", "auto", "auto", LARGE).compile


def test_auto_does_not_compile_for_a_cpu_without_a_compiler(cpu_with, monkeypatch):
    cpu_with("amx_tile")
    monkeypatch.setattr(device, "_has_compiler", lambda: False)
    assert not resolve("cpu", "auto", "auto", LARGE).compile


def test_small_work_runs_on_one_thread_and_the_process_gets_its_threads_back():
    before = torch.get_num_threads()
    runtime = resolve("cpu", "fp32", "false", SMALL)
    with runtime.at_work():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    assert resolve("cpu", "fp32", "false", LARGE).threads == before


def test_what_was_chosen_is_told_in_a_line_and_in_the_result(cpu_with):
    cpu_with("avx512_bf16", "amx_tile")
    runtime = resolve("cpu", "auto", "auto", LARGE)
    threads = f"{runtime.threads} thread{'s' * (runtime.threads > 1)}"
    assert str(runtime) == f"cpu (bf16, channels_last, compiled, {threads})"
    described = runtime.describe()
    assert (described["precision"], described["compile"]) == ("bf16", "true")


def test_seeding_a_runtime_is_seeding_torch():
    resolve("cpu", "fp32", "false").seed(7)
    ours = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(ours, torch.rand(3))


@pytest.mark.slow
def test_a_second_model_of_the_same_shape_does_not_compile_again():
    from torch._dynamo.utils import counters

    def train_one() -> None:
        runtime = resolve("cpu", "fp32", "true")
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
        forward = runtime.compiled(runtime.place(model))
        for rows in (8, 8, 3):  # the last batch of an epoch is smaller
            forward(torch.randn(rows, 1, 6, 6)).sum().backward()

    torch._dynamo.reset()  # of what other tests compiled in this process
    counters.clear()
    train_one()
    compiled = counters["stats"]["unique_graphs"]
    train_one()
    assert compiled == 2 and counters["stats"]["unique_graphs"] == compiled


def test_every_shape_of_a_sweep_is_compiled_however_many_there_are(monkeypatch):
    from torch._dynamo.utils import counters

    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda model, mode, dynamic: real(model, backend="eager", dynamic=dynamic)
    )
    runtime = resolve("cpu", "fp32", "true")
    counters.clear()
    for width in range(2, 12):
        model = nn.Sequential(nn.Flatten(), nn.Linear(36, width), nn.ReLU(), nn.Linear(width, 3))
        forward = runtime.compiled(runtime.place(model))
        for rows in (8, 3):
            forward(torch.randn(rows, 1, 6, 6)).sum().backward()
    assert counters["stats"]["unique_graphs"] == 20


def test_a_model_whose_layers_are_its_own_is_not_taken_for_large(cpu_with):
    cpu_with("avx512_bf16")
    assert resolve("cpu", "auto", "auto", Work(macs=2e3, layers=0)).dtype == torch.float32


@pytest.mark.parametrize("missing", ["triton", "gcc", "Volta"])
def test_auto_does_not_compile_for_a_gpu_where_inductor_cannot(monkeypatch, missing):
    gpu = torch.device("cuda")
    monkeypatch.setattr(device, "find_spec", lambda name: None if missing == "triton" else object())
    monkeypatch.setattr(device.shutil, "which", lambda name: None if missing == "gcc" else name)
    capability = (6, 1) if missing == "Volta" else (9, 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert not device._pays_to_compile(gpu, LARGE)
    monkeypatch.setattr(device, "_has_triton", lambda device: True)
    assert device._pays_to_compile(gpu, LARGE)
