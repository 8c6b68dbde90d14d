"""The loop: it learns, it stops, it resumes to the same bits, and each knob does what it says."""

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from distill_cli.config.schema import Training
from distill_cli.data.loader import Loader
from distill_cli.data.splits import ArraySplit, DataSet
from distill_cli.data.views.views import open_views
from distill_cli.errors import ArtifactError, ConfigError, Interrupted, TrainingDiverged
from distill_cli.runtime.device import resolve
from distill_cli.runtime.signals import StopRequest
from distill_cli.schedules import ConstantRate, CosineRate
from distill_cli.training.checkpoints import load_checkpoint
from distill_cli.training.loop import Trainer, TrainingRun, sample_order
from distill_cli.training.objectives import CrossEntropy

SAMPLES = 50
RECIPE = Training(
    model={},
    seed=0,
    epochs=4,
    batch_size=16,
    accumulation=1,
    optimizer={"_target_": "torch.optim.SGD", "lr": 0.05, "momentum": 0.9},
    lr_schedule={},
    decay_norm_and_bias=True,
    label_smoothing=0.0,
    l1=0.0,
    clip_norm=None,
    max_norm=None,
    ema=None,
    validate_every=2,
)


def data() -> DataSet:
    generator = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % 3
    images = generator.integers(0, 60, (SAMPLES, 1, 6, 6), dtype=np.uint8)
    images += (70 * labels).astype(np.uint8)[:, None, None, None]  # the class is the brightness
    split = ArraySplit(images, labels)
    return DataSet("toy", ("a", "b", "c"), (0.3,), (0.2,), (1, 6, 6), split, split, split)


def network(dropout: float = 0.1) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(64, 3),
        )


class Plain:
    """An objective that is a function, and looks nothing up beforehand."""

    def __init__(self, function) -> None:
        self.function = function
        self.parts = nn.ModuleList()
        self.views_per_sample = 1

    def prepare(self, stretch):
        return stretch

    def __call__(self, outputs, batch, progress):
        return self.function(outputs, batch, progress)


class Ticker:
    """A tracker that does nothing."""

    def advance(self, n: int = 1, note: str = "") -> None:
        pass


class StopAfter(StopRequest):
    """Asks to stop once it has been looked at `steps` times; the loop looks once a step."""

    def __init__(self, steps: float) -> None:
        super().__init__()
        self.left = steps

    def __bool__(self) -> bool:
        self.left -= 1
        if self.left <= 0:
            self.exit_code = 143
        return self.exit_code is not None


def trainer(tmp_path, model=None, objective=None, schedule=None, precision="fp32", **changes) -> Trainer:
    spec = {"_target_": "distill_cli.data.views.recipes.Shift", "pixels": 1, "seed": 0, "count": 3}
    runtime = resolve("cpu", precision, "false")
    return Trainer(
        TrainingRun(
            recipe=replace(RECIPE, **changes),
            model=model or network(),
            objective=Plain(objective) if objective else CrossEntropy(),
            lr_schedule=schedule or CosineRate(),
            loader=Loader(data().train, data(), runtime.device, open_views(spec, (6, 6))),
            validate=lambda model: {"validation_top1": 0.5 if not model.training else math.nan},
            runtime=runtime,
            key="toy",
            checkpoint=tmp_path / "checkpoint.pt",
            checkpoint_every=1e9,
        )
    )


def streamed(tmp_path, workers: int) -> Trainer:
    worker = trainer(tmp_path, model=network(0.5))
    spec = {"_target_": "distill_cli.data.views.recipes.Shift", "pixels": 1, "seed": 0, "count": 3}
    views, cpu = open_views(spec, (6, 6)), torch.device("cpu")
    loader = Loader(data().train, data(), cpu, views, resident_bytes=0, workers=workers)
    worker.run = replace(worker.run, loader=loader)
    return worker


def run(trainer: Trainer, stop: StopRequest | None = None) -> nn.Module:
    return trainer.train(StopAfter(math.inf) if stop is None else stop, Ticker())


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.double().flatten() for value in model.state_dict().values()])


def test_it_learns(tmp_path):
    worker = trainer(tmp_path, epochs=30)
    model = run(worker)
    (batch,) = Loader(data().test, data(), torch.device("cpu")).clean(SAMPLES)
    assert (model(batch.inputs).argmax(1) == batch.labels).float().mean() > 0.95
    assert worker.history[-1]["loss"] < worker.history[0]["loss"] / 2


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(tmp_path):
    first, second = (run(trainer(tmp_path / str(n))) for n in (1, 2))
    other = run(trainer(tmp_path / "3", seed=1))
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("steps", [2, 4, 6])
def test_a_streamed_run_resumes_to_the_bits_of_a_resident_one(tmp_path, steps, workers):
    """Dropout's random numbers must not depend on how pictures arrive."""
    expected = weights(run(trainer(tmp_path / "resident", model=network(0.5))))
    (tmp_path / "cut").mkdir()
    with pytest.raises(Interrupted):
        run(streamed(tmp_path / "cut", workers), StopAfter(steps))
    resumed = streamed(tmp_path / "cut", workers)
    assert resumed.resume()
    assert torch.equal(weights(run(resumed)), expected)


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 11, 16])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_run_stopped_at_any_step_ends_with_the_same_bits_and_history(tmp_path, steps, ema):
    settings = {"ema": ema, "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.01}}
    whole = trainer(tmp_path / "whole", **settings)
    expected = weights(run(whole))
    (tmp_path / "cut").mkdir()
    cut = trainer(tmp_path / "cut", **settings)
    with pytest.raises(Interrupted) as caught:
        run(cut, StopAfter(steps))
    assert caught.value.exit_code == 143
    torch.manual_seed(99)  # whatever another job of the sweep did
    resumed = trainer(tmp_path / "cut", **settings)
    assert resumed.resume() and resumed.step == steps
    assert torch.equal(weights(run(resumed)), expected)
    assert whole.history == resumed.history


def test_a_checkpoint_is_written_every_so_many_seconds_and_changes_nothing(tmp_path):
    plain = trainer(tmp_path)
    (tmp_path / "saving").mkdir()
    saving = trainer(tmp_path / "saving")
    saving.run = replace(saving.run, checkpoint_every=0.0)
    assert torch.equal(weights(run(plain)), weights(run(saving)))
    assert saving.run.checkpoint.is_file() and not plain.run.checkpoint.exists()


def test_a_damaged_checkpoint_is_refused_with_the_remedy(tmp_path):
    worker = trainer(tmp_path)
    worker.save()
    content = bytearray(worker.run.checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    worker.run.checkpoint.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"corrupt.*remove it to start this stage again"):
        worker.resume()


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    worker = trainer(tmp_path)
    worker.save()
    other = trainer(tmp_path)
    other.run = replace(other.run, key="another")
    with pytest.raises(ArtifactError, match=r"checkpoint\.pt belongs to another run; remove it"):
        other.resume()


def test_a_pickle_in_the_place_of_a_checkpoint_is_not_executed(tmp_path):
    import pickle

    from distill_cli.artifacts.files import write_sealed

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    write_sealed(tmp_path / "checkpoint.pt", pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_checkpoint(tmp_path / "checkpoint.pt", "toy")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_the_step_and_keeps_the_last_good_checkpoint(tmp_path, poison):
    calls = []

    def objective(outputs, batch, progress):
        calls.append(progress.step)
        loss = outputs.logits.square().mean() * (poison if progress.step == 6 else 1)
        return loss, {}

    worker = trainer(tmp_path, objective=objective)
    worker.save()
    before = worker.run.checkpoint.read_bytes()
    with pytest.raises(TrainingDiverged, match=r"diverged at step 7 \(loss (nan|inf)\); lower optimizer.lr"):
        run(worker)
    assert worker.run.checkpoint.read_bytes() == before


def test_accumulation_gives_the_gradient_of_the_whole_batch(tmp_path):
    def plain():
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))

    torch.manual_seed(0)
    one = plain()
    other = plain()
    other.load_state_dict(one.state_dict())
    whole = run(trainer(tmp_path, model=one, accumulation=1))
    parts = run(trainer(tmp_path, model=other, accumulation=5))
    torch.testing.assert_close(weights(whole), weights(parts), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mixing", [None, {"_target_": "distill_cli.data.views.mixing.Mixup"}])
def test_accumulation_counts_hidden_labels_as_the_whole_batch_does(tmp_path, mixing):
    torch.manual_seed(0)
    start = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).state_dict()
    hidden = replace(
        data(), train=data().train.relabel(np.where(np.arange(SAMPLES) % 2, -1, data().train.labels))
    )
    spec = {
        "_target_": "distill_cli.data.views.recipes.NoAugmentation",
        "seed": 0,
        "count": 3,
        "mixing": mixing,
    }
    found = []
    for accumulation in (1, 5):
        model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
        model.load_state_dict(start)
        worker = trainer(tmp_path, model=model, accumulation=accumulation)
        loader = Loader(hidden.train, hidden, torch.device("cpu"), open_views(spec, (6, 6)))
        worker.run = replace(worker.run, loader=loader)
        found.append(weights(run(worker)))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


def test_parts_of_a_batch_are_never_a_single_sample(tmp_path):
    run(trainer(tmp_path, accumulation=8, batch_size=17, epochs=1))


def test_weights_that_are_not_finite_after_the_last_step_are_not_kept(tmp_path):
    sgd = {"_target_": "torch.optim.SGD", "lr": 1e38}

    def steep(outputs, batch, progress):
        return 1e6 * outputs.logits.square().mean(), {}

    with pytest.raises(TrainingDiverged, match=r"diverged in step 1 \(weights are not finite\)"):
        run(
            trainer(
                tmp_path,
                objective=steep,
                optimizer=sgd,
                epochs=1,
                batch_size=SAMPLES,
                schedule=ConstantRate(),
            )
        )


def test_a_run_in_float16_with_its_scaler_resumes_to_the_same_bits(tmp_path):
    expected = weights(run(trainer(tmp_path / "whole", precision="fp16")))
    (tmp_path / "cut").mkdir()
    with pytest.raises(Interrupted):
        run(trainer(tmp_path / "cut", precision="fp16"), StopAfter(6))
    resumed = trainer(tmp_path / "cut", precision="fp16")
    assert resumed.resume() and torch.equal(weights(run(resumed)), expected)


def test_ema_keeps_an_average_of_the_weights(tmp_path):
    worker = trainer(tmp_path, ema=0.5, schedule=ConstantRate(), epochs=1)
    decay, expected, seen = 0.5, None, []
    step = worker._step

    def spy(batch):
        step(batch)
        seen.append(weights(worker.model))

    worker._step = spy
    kept = run(worker)
    for value in seen:
        expected = value if expected is None else decay * expected + (1 - decay) * value
    floats = [n for n, v in kept.state_dict().items() if v.is_floating_point()]
    average = torch.cat([kept.state_dict()[n].double().flatten() for n in floats])
    mask = torch.cat([torch.full((v.numel(),), n in floats) for n, v in kept.state_dict().items()])
    torch.testing.assert_close(average, expected[mask], rtol=1e-5, atol=1e-6)
    assert not torch.equal(weights(kept), weights(worker.model))


def test_clipping_bounds_the_step(tmp_path):
    plain_sgd = {"_target_": "torch.optim.SGD", "lr": 1.0}
    model = network(dropout=0.0)
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    worker = trainer(
        tmp_path,
        model=model,
        clip_norm=0.01,
        optimizer=plain_sgd,
        epochs=1,
        batch_size=SAMPLES,
        schedule=ConstantRate(),
    )
    run(worker)
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_what_trains_along_is_clipped_apart_from_the_model(tmp_path):
    part = nn.Linear(3, 1, bias=False)

    def pulled(outputs, batch, progress):
        loss, logs = CrossEntropy()(outputs, batch, progress)
        return loss + 1e6 * part.weight.sum(), logs

    settings = {"clip_norm": 0.01, "epochs": 1, "batch_size": SAMPLES, "schedule": ConstantRate()}
    settings["optimizer"] = {"_target_": "torch.optim.SGD", "lr": 1.0}
    alone = run(trainer(tmp_path, model=network(0.0), **settings))
    worker = trainer(tmp_path, model=network(0.0), objective=pulled, **settings)
    worker.run.objective.parts.append(part)
    before = weights(part)
    beside = run(Trainer(worker.run))
    assert torch.equal(weights(beside), weights(alone))
    assert (weights(part) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_max_norm_holds_the_weights_into_every_unit(tmp_path):
    def longest(model):
        return max(p.flatten(1).norm(dim=1).max().item() for p in model.parameters() if p.ndim >= 2)

    free, held = (run(trainer(tmp_path, max_norm=limit)) for limit in (None, 0.5))
    assert longest(held) <= 0.5 + 1e-6 < 0.6 < longest(free)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_max_norm_is_the_same_in_parts_of_a_batch_and_holds_an_average_too(tmp_path, ema):
    start = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))  # batch norm would see the parts
    whole, parts = (
        run(trainer(tmp_path, deepcopy(start), max_norm=0.3, ema=ema, accumulation=n)) for n in (1, 2)
    )
    torch.testing.assert_close(weights(parts), weights(whole), rtol=0, atol=1e-5)
    norms = whole[1].weight.norm(dim=1)
    assert 0.2 < norms.max() <= 0.3 + 1e-6


@pytest.mark.parametrize("field", ["clip_norm", "max_norm"])
@pytest.mark.parametrize("limit", [math.inf, math.nan, 0.0, -1.0])
def test_a_limit_on_a_norm_is_a_number_above_0(field, limit):
    with pytest.raises(ConfigError, match=rf"teacher\.{field}=.* must be a number above 0, or null"):
        replace(RECIPE, **{field: limit}).check("teacher")


def test_l1_pulls_weights_towards_zero(tmp_path):
    plain, pulled = (run(trainer(tmp_path, l1=l1)) for l1 in (0.0, 0.05))

    def size(model):
        return sum(p.abs().sum().item() for p in model.parameters() if p.ndim >= 2)

    assert size(pulled) < 0.7 * size(plain)


def test_weight_decay_can_leave_norms_and_biases_alone(tmp_path):
    decaying = {"_target_": "torch.optim.SGD", "lr": 0.05, "weight_decay": 0.5}
    groups = trainer(tmp_path, optimizer=decaying, decay_norm_and_bias=False).optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert all(p.ndim >= 2 for p in groups[0]["params"]) and all(p.ndim < 2 for p in groups[1]["params"])
    assert len(trainer(tmp_path, optimizer=decaying).optimizer.param_groups) == 1


def test_bf16_trains_close_to_fp32_and_keeps_float32_weights(tmp_path):
    full, half = (run(trainer(tmp_path, precision=p, epochs=10)) for p in ("fp32", "bf16"))
    assert all(p.dtype == torch.float32 for p in half.parameters())
    assert not torch.equal(weights(full), weights(half))
    assert (weights(full) - weights(half)).norm() / weights(full).norm() < 0.2


def test_the_student_is_back_in_training_mode_after_validation(tmp_path):
    worker, modes = trainer(tmp_path, validate_every=1), []
    step = worker._step

    def spy(batch):
        modes.append(worker.model.training)
        step(batch)

    worker._step = spy
    run(worker)
    assert all(modes) and all(record["validation_top1"] == 0.5 for record in worker.history)


def test_every_sample_is_seen_once_in_an_epoch_in_an_order_of_its_own():
    orders = [sample_order(seed=0, epoch=epoch, samples=SAMPLES) for epoch in range(3)]
    assert all(sorted(order) == list(range(SAMPLES)) for order in orders)
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[0], sample_order(seed=0, epoch=0, samples=SAMPLES))


def test_a_last_batch_of_one_sample_is_left_out(tmp_path):
    assert trainer(tmp_path, batch_size=7).steps_per_epoch == 7  # 50 = 7 · 7 + 1
    assert trainer(tmp_path, batch_size=16).steps_per_epoch == 4
    run(trainer(tmp_path, batch_size=7, epochs=1))


def test_the_history_has_a_record_for_each_epoch(tmp_path):
    worker = trainer(tmp_path)
    run(worker)
    assert [record["epoch"] for record in worker.history] == [1, 2, 3, 4]
    assert ["validation_top1" in record for record in worker.history] == [False, True, False, True]
    assert all({"loss", "hard", "lr"} <= record.keys() for record in worker.history)


def test_a_resumed_epoch_has_the_same_bits_on_two_threads_with_rows_of_odd_length(tmp_path):
    """Matrix products round by where their operands begin in memory."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        straight, stopped, resumed = (odd_trainer(tmp_path) for _ in range(3))
        expected = weights(run(straight))
        with pytest.raises(Interrupted):
            run(stopped, StopAfter(1))
        assert resumed.resume()
        assert torch.equal(weights(run(resumed)), expected)
    finally:
        torch.set_num_threads(before)


def odd_trainer(tmp_path) -> Trainer:
    """Batches of 6 pictures of 31x31 through a wide layer; all work is worth two threads."""
    images = np.random.default_rng(0).integers(0, 256, (60, 1, 31, 31), dtype=np.uint8)
    split = ArraySplit(images, np.arange(60) % 3)
    odd = DataSet("odd", ("a", "b", "c"), (0.3,), (0.2,), (1, 31, 31), split, split, split)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(961, 1200), nn.ReLU(), nn.Linear(1200, 3))
    worker = trainer(tmp_path, model, batch_size=6, epochs=1)
    views = open_views(
        {"_target_": "distill_cli.data.views.recipes.NoAugmentation", "seed": 0, "count": 1}, (31, 31)
    )
    runtime = resolve("cpu", "fp32", "false")
    worker.run = replace(worker.run, loader=Loader(split, odd, runtime.device, views), runtime=runtime)
    worker.steps_per_epoch = 10
    return worker
