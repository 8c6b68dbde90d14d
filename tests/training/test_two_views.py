"""Two views of each sample in a step: which ones, in which rows, and what the loop makes of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_loop import SAMPLES, StopAfter, data, network, run, trainer, weights
from torch import nn

from distill_cli.data.batch import Batch
from distill_cli.data.loader import Loader
from distill_cli.data.views.views import open_views
from distill_cli.errors import Interrupted
from distill_cli.losses.mlkd import MultiLevel
from distill_cli.losses.outputs import Outputs
from distill_cli.schedules import Constant
from distill_cli.training.objectives import CrossEntropy, Distillation
from distill_cli.training.terms import Term

SHIFT = {"_target_": "distill_cli.data.views.recipes.Shift", "pixels": 2, "seed": 0}
EVERYONE = np.arange(SAMPLES)


def views(count):
    return open_views({**SHIFT, "count": count}, (6, 6))


def loader(count=3, **settings) -> Loader:
    return Loader(data().train, data(), torch.device("cpu"), views(count), **settings)


@pytest.mark.parametrize("count", [2, 3, 4, 7, 8])
def test_a_sample_is_seen_in_two_different_views_an_epoch_and_in_all_of_them_over_the_epochs(count):
    epochs = count if count % 2 else count // 2
    seen = np.stack(
        [views(count).view_in_epoch(EVERYONE, epoch, 2).reshape(-1, 2) for epoch in range(epochs)]
    )
    assert (seen[..., 0] != seen[..., 1]).all()
    per_sample = seen.transpose(1, 0, 2).reshape(SAMPLES, -1)  # (samples, epochs · 2)
    times = np.stack([np.bincount(row, minlength=count) for row in per_sample])
    assert (times == (2 if count % 2 else 1)).all()


def test_fresh_views_never_come_back():
    seen = np.concatenate(
        [views(None).view_in_epoch(EVERYONE, e, 2).reshape(-1, 2) for e in range(3)], axis=1
    )
    assert (seen == np.arange(6)).all()


@pytest.mark.parametrize("count", [None, 5])
def test_one_view_a_step_is_what_it_was(count):
    for epoch in (0, 1, 9):
        found = views(count).view_in_epoch(EVERYONE, epoch)
        assert np.array_equal(found, views(count).view_in_epoch(EVERYONE, epoch, 1)) and len(found) == SAMPLES
    if count is not None:
        step = views(count).view_in_epoch(EVERYONE, 1) - views(count).view_in_epoch(EVERYONE, 0)
        assert (step % count == 1).all()


@pytest.mark.parametrize("resident_bytes", [4e9, 0])
def test_rows_0_2_4_and_1_3_5_are_the_same_samples_in_the_views_of_the_epoch(resident_bytes):
    source = loader(resident_bytes=resident_bytes, workers=0)
    order = np.random.default_rng(0).permutation(SAMPLES)
    batches = list(source.epoch(order, 4, 16, each=2))
    assert [len(batch) for batch in batches] == [32, 32, 32, 4]
    assert np.array_equal(np.concatenate([batch.index[0::2] for batch in batches]), order)
    for batch in batches:
        assert torch.equal(batch.index[0::2], batch.index[1::2])
        alone = next(source.view(batch.index.numpy(), batch.view.numpy(), len(batch)))
        assert torch.equal(batch.inputs, alone.inputs) and torch.equal(batch.labels, alone.labels)
        assert (batch.inputs[0::2] != batch.inputs[1::2]).flatten(1).any(1).float().mean() > 0.5


class Pairs:
    """An objective that wants two views, and takes nothing on trust."""

    def __init__(self) -> None:
        self.parts, self.views_per_sample = nn.ModuleList(), 2
        self.sizes: list[int] = []

    def prepare(self, stretch: Batch) -> Batch:
        return stretch

    def __call__(self, outputs, batch, progress):
        assert (
            torch.equal(batch.index[0::2], batch.index[1::2]) and (batch.view[0::2] != batch.view[1::2]).all()
        )
        self.sizes.append(len(batch))
        hard = CrossEntropy().loss(outputs, batch)
        first, second = outputs.logits[0::2], outputs.logits[1::2]
        return hard + (first - second).square().mean(), {"hard": hard.detach()}


def paired(tmp_path, objective=None, **changes):
    tmp_path.mkdir(exist_ok=True)
    worker = trainer(tmp_path, **changes)
    worker.run = replace(worker.run, objective=objective or Pairs())
    return worker


def test_a_batch_counts_samples_and_an_epoch_has_as_many_steps_as_with_one_view(tmp_path):
    worker = paired(tmp_path, epochs=1)
    run(worker)
    assert worker.run.objective.sizes == [32, 32, 32, 4] and worker.step == 4


@pytest.mark.parametrize("accumulation", [2, 3, 5, 8])
def test_accumulation_tears_no_pair_and_leaves_no_sample_alone(tmp_path, accumulation):
    worker = paired(tmp_path, epochs=1, batch_size=17, accumulation=accumulation)
    run(worker)
    sizes = worker.run.objective.sizes
    assert sum(sizes) == 2 * SAMPLES and all(size % 2 == 0 and size >= 4 for size in sizes)
    assert len(sizes) == 3 * accumulation


def test_accumulation_gives_the_gradient_of_the_whole_batch(tmp_path):
    def plain():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))

    whole, parts = (weights(run(paired(tmp_path, model=plain(), accumulation=n))) for n in (1, 5))
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-6)


class Table:
    """A cached teacher: a row for each view of each sample."""

    rows = 3 * torch.randn(3, SAMPLES, 3, generator=torch.Generator().manual_seed(3))

    def ahead(self, stretch):
        return Outputs(self.rows[stretch.view, stretch.index])

    def __call__(self, batch):
        return self.ahead(batch)


class TableBeside(Table):
    """The same, asked batch by batch, as a teacher that runs beside its student."""

    def ahead(self, stretch):
        return None

    def __call__(self, batch):
        return Table.ahead(self, batch)


def mlkd(teacher=None, views_per_sample=2) -> Distillation:
    terms = (Term("mlkd", MultiLevel()),)
    return Distillation(
        CrossEntropy(),
        terms,
        teacher or Table(),
        Constant(4.0),
        Constant(0.5),
        views_per_sample=views_per_sample,
    )


@pytest.mark.parametrize("steps", [1, 3, 4, 6])
@pytest.mark.parametrize("make", [Pairs, mlkd], ids=["toy", "mlkd"])
def test_a_run_stopped_at_any_step_ends_with_the_same_bits(tmp_path, make, steps):
    whole = paired(tmp_path / "whole", make())
    expected = weights(run(whole))
    with pytest.raises(Interrupted):
        run(paired(tmp_path / "cut", make()), StopAfter(steps))
    torch.manual_seed(99)
    resumed = paired(tmp_path / "cut", make())
    assert resumed.resume() and resumed.step == steps
    assert torch.equal(weights(run(resumed)), expected) and whole.history == resumed.history


def test_rows_looked_up_beforehand_train_as_those_asked_for_in_each_step(tmp_path):
    cached, beside = (weights(run(paired(tmp_path, mlkd(teacher())))) for teacher in (Table, TableBeside))
    assert torch.equal(cached, beside)


def test_two_views_are_another_training_than_one(tmp_path):
    model = {n: weights(run(paired(tmp_path, mlkd(views_per_sample=n), model=network(0.0)))) for n in (1, 2)}
    assert not torch.equal(model[1], model[2])


def test_the_hard_loss_is_the_mean_over_both_views(tmp_path):
    worker = paired(tmp_path, mlkd(), model=network(0.0))
    batch = next(worker._batches())
    outputs = Outputs(torch.randn(len(batch), 3, generator=torch.Generator().manual_seed(0)), None)
    _, logs = worker.run.objective(outputs, batch, worker.progress)
    each = [nn.functional.cross_entropy(outputs.logits[view::2], batch.labels[view::2]) for view in (0, 1)]
    torch.testing.assert_close(logs["hard"], sum(each) / 2)
