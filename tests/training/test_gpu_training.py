"""On a CUDA device: the data, the steps and the resume of a training. Skipped where there is none."""

import pytest
import torch
from test_loop import StopAfter, Ticker, data, network, replace, run, trainer

from distill_cli.data.loader import Loader
from distill_cli.data.views.views import open_views
from distill_cli.errors import Interrupted
from distill_cli.runtime.device import Work, resolve

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CROP_FLIP = {"_target_": "distill_cli.data.views.recipes.CropFlip", "padding": 1, "flip": 0.5}
MIXUP = {"_target_": "distill_cli.data.views.mixing.Mixup", "beta": 1.0}


def loader(device: str, mixing=None) -> Loader:
    views = open_views({**CROP_FLIP, "seed": 0, "count": 3, "mixing": mixing}, (6, 6))
    return Loader(data().train, data(), torch.device(device), views)


def gpu_trainer(directory, precision, compiled="false", **changes):
    directory.mkdir(exist_ok=True)
    worker = trainer(directory, network().cuda(), **changes)
    runtime = resolve("cuda", precision, compiled, Work(macs=1e6, steps=100, batch=16))
    worker.run = replace(worker.run, runtime=runtime, loader=loader("cuda"))
    worker.scaler, worker.forward = runtime.scaler(), runtime.compiled(worker.model)
    return worker


@pytest.mark.parametrize("mixing", [None, MIXUP])
def test_views_on_a_gpu_are_those_of_the_cpu(mixing):
    batches = [
        list(loader(device, mixing).epoch(torch.arange(50).numpy(), 1, 16)) for device in ("cpu", "cuda")
    ]
    for cpu, gpu in zip(*batches, strict=True):
        assert gpu.inputs.device.type == "cuda" and torch.equal(cpu.labels, gpu.labels.cpu())
        torch.testing.assert_close(cpu.inputs, gpu.inputs.cpu(), rtol=0, atol=0 if mixing is None else 1e-6)


def test_pixels_stay_on_the_gpu_as_bytes():
    resident = loader("cuda").pixels
    assert resident.is_resident
    assert (resident.images.dtype, resident.images.device.type) == (torch.uint8, "cuda")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_training_on_a_gpu_goes_on_where_it_stopped(tmp_path, precision):
    straight = run(gpu_trainer(tmp_path / "straight", precision)).state_dict()
    stopped = gpu_trainer(tmp_path / "stopped", precision)
    with pytest.raises(Interrupted):
        stopped.train(StopAfter(7), Ticker())
    resumed = gpu_trainer(tmp_path / "stopped", precision)
    assert resumed.resume() and resumed.step == stopped.step
    for name, value in run(resumed).state_dict().items():
        torch.testing.assert_close(value, straight[name], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("changes", [{}, {"ema": 0.9}, {"accumulation": 2}, {"clip_norm": 1.0}], ids=str)
def test_steps_replayed_as_cuda_graphs_train_as_eager_ones_do(tmp_path, changes):
    """Evaluation of the same module between epochs included."""
    eager = run(gpu_trainer(tmp_path / "eager", "fp32", **changes)).state_dict()
    replayed = gpu_trainer(tmp_path / "replayed", "fp32", "true", **changes)
    assert replayed.run.runtime.graphs
    for name, value in run(replayed).state_dict().items():
        torch.testing.assert_close(value, eager[name], rtol=1e-2, atol=1e-2)
