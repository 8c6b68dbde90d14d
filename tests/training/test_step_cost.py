"""What a step costs beyond its model, in what no clock is needed for: operations, and waits for the device."""

import numpy as np
import pytest
import torch
from test_loop import data, network, replace, trainer
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from distill_cli.data.loader import Loader
from distill_cli.data.splits import ArraySplit
from distill_cli.data.views.views import open_views
from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.upload import upload
from distill_cli.runtime.device import resolve
from distill_cli.schedules import Constant
from distill_cli.training.loop import SETTLE_EVERY
from distill_cli.training.objectives import CrossEntropy, Distillation
from distill_cli.training.terms import Term

CPU = resolve("cpu", "fp32", "false")
MIXUP = {"_target_": "distill_cli.data.views.mixing.Mixup", "beta": 1.0}
WAITS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "_unique2")
BATCH = 16  # rows of 6x6 pictures and of 3 logits begin at multiples of 64 bytes: no batch needs a copy


def twelve_batches():
    pictures, labels = data().train.images, data().train.labels
    return ArraySplit(np.tile(pictures, (4, 1, 1, 1))[: 12 * BATCH], np.tile(labels, 4)[: 12 * BATCH])


def loader(device="cpu", mixing=None) -> Loader:
    spec = {"_target_": "distill_cli.data.views.recipes.Shift", "pixels": 1, "seed": 0, "count": 3}
    return Loader(
        twelve_batches(), data(), torch.device(device), open_views({**spec, "mixing": mixing}, (6, 6))
    )


class Operations(TorchDispatchMode):
    """Counts what reaches the device: forward, backward and optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        self.names.append(operation.overloadpacket.__name__)
        return operation(*arguments, **(options or {}))

    @property
    def waits(self) -> int:
        return sum(name in WAITS for name in self.names)

    @property
    def copies(self) -> int:
        return sum(name in ("_to_copy", "clone", "copy_", "index", "cat") for name in self.names)


class Table:
    """A cached teacher: rows of logits by (view, sample). Notes how often it is asked."""

    def __init__(self) -> None:
        self.rows = torch.randn(3, 12 * BATCH, 3)
        self.asked = 0

    def ahead(self, stretch):
        self.asked += 1
        view, index = (upload(rows, self.rows.device) for rows in (stretch.view, stretch.index))
        return Outputs(self.rows[view, index])

    def __call__(self, batch):
        raise AssertionError("the stretch has the teacher's word already")


def distillation(teacher=None) -> Distillation:
    return Distillation(
        CrossEntropy(),
        (Term("kd", KnowledgeDistillation()),),
        teacher or Table(),
        Constant(4.0),
        Constant(0.9),
    )


def objective_trainer(tmp_path, objective, mixing=None, **changes):
    """A trainer of 12 steps an epoch."""
    worker = trainer(tmp_path, network(dropout=0.0), batch_size=BATCH, **changes)
    worker.run = replace(worker.run, objective=objective, loader=loader(mixing=mixing))
    worker.steps_per_epoch = 12
    return worker


def operations(worker, steps: int) -> Operations:
    """Of that many steps from where training stands."""
    with Operations() as counted:
        for _, batch in zip(range(steps), worker._batches(), strict=False):
            worker._step(batch)
            worker.step += 1
    return counted


def bare(steps: int) -> Operations:
    """Forward, cross-entropy, backward and fused optimizer, on a batch that lies ready."""
    model = network(dropout=0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, fused=True)
    inputs, labels = torch.randn(BATCH, 1, 6, 6), torch.zeros(BATCH, dtype=torch.long)
    model = model.to(memory_format=torch.channels_last).train()
    with Operations() as counted:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
    return counted


def per_step(count) -> float:
    """Of steps inside an epoch: 9 less 4, so that what an epoch costs once is not in it."""
    return (count(9) - count(4)) / 5


def test_plain_training_does_what_the_bare_step_does_and_cuts_a_batch(tmp_path):
    ours = per_step(lambda n: len(operations(objective_trainer(tmp_path, CrossEntropy()), n).names))
    cut = 4  # inputs, labels, index, view
    assert ours <= per_step(lambda n: len(bare(n).names)) + cut


def test_distilling_adds_a_fixed_handful_of_operations_to_a_step(tmp_path):
    ours = per_step(lambda n: len(operations(objective_trainer(tmp_path, distillation()), n).names))
    plain = per_step(lambda n: len(operations(objective_trainer(tmp_path, CrossEntropy()), n).names))
    assert ours - plain <= 19  # two softmaxes, their difference, the gradient, the sum of two losses


def test_mixing_adds_four_slices_and_a_cross_entropy_with_probabilities_to_a_step(tmp_path):
    mixed = per_step(lambda n: len(operations(objective_trainer(tmp_path, distillation(), MIXUP), n).names))
    plain = per_step(lambda n: len(operations(objective_trainer(tmp_path, distillation()), n).names))
    assert mixed - plain <= 4 + 6


def test_no_step_copies_pixels_or_logits(tmp_path):
    ours = per_step(lambda n: operations(objective_trainer(tmp_path, distillation()), n).copies)
    assert ours <= per_step(lambda n: bare(n).copies)


def test_the_cache_is_asked_once_for_many_batches(tmp_path):
    teacher = Table()
    operations(objective_trainer(tmp_path, distillation(teacher)), 12)
    assert teacher.asked == 1


def test_nothing_waits_for_the_device_between_log_points(tmp_path):
    worker = objective_trainer(tmp_path, distillation())
    assert worker.steps_per_epoch < SETTLE_EVERY
    assert operations(worker, 12).waits == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("changes", [{}, {"ema": 0.9}, {"clip_norm": 1.0}], ids=str)
@pytest.mark.parametrize("mixing", [None, MIXUP], ids=["plain", "mixup"])
def test_a_gpu_is_not_waited_for_inside_an_epoch(tmp_path, changes, mixing):
    cuda = resolve("cuda", "bf16", "false")
    worker = trainer(tmp_path, network().to(cuda.device), batch_size=BATCH, **changes)
    table = Table()
    table.rows = table.rows.to(cuda.device)
    worker.run = replace(
        worker.run, loader=loader("cuda", mixing), objective=distillation(table), runtime=cuda
    )
    worker.steps_per_epoch = 12
    operations(worker, 3)  # libraries initialise themselves, which waits
    torch.cuda.set_sync_debug_mode("error")
    try:
        operations(worker, 6)
    finally:
        torch.cuda.set_sync_debug_mode("default")
