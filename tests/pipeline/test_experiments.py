"""Whole experiments: the figures that the README claims. Minutes."""

import resource
import statistics
import time

import pytest
from tool import distill, new_session

from distill_cli.stages import distill as distill_stage
from distill_cli.stages import gen_soft_labels, train_teacher


@pytest.mark.slow
def test_on_digits_the_student_beats_its_baseline_by_more_than_0_7_points_on_average(tmp_path):
    gains = []
    for seed in range(5):
        session = new_session(tmp_path, f"seed={seed}")
        teacher = train_teacher.run(session)
        gen_soft_labels.run(session)
        student, baseline = distill_stage.run(session), distill_stage.run_baseline(session)
        gains.append(student.metrics["test_top1"] - baseline.metrics["test_top1"])
    print(f"gains over seeds 0-4: {[f'{gain:.2%}' for gain in gains]}, mean {statistics.mean(gains):.2%}")
    assert teacher.metrics["test_top1"] >= 0.99
    assert student.metrics["parameters"] <= 2_000
    assert teacher.metrics["parameters"] >= 25 * student.metrics["parameters"]
    assert statistics.mean(gains) >= 0.007


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_the_default_run_takes_less_than_90_seconds_and_then_less_than_one(tmp_path):
    """Processor time, since other tests run beside this one; `make bench NAME=startup` has wall time."""
    started = time.monotonic()
    assert distill("run", cwd=tmp_path).returncode == 0
    first = time.monotonic() - started
    seconds = []
    for _ in range(3):
        before = children_seconds()
        assert distill("run", cwd=tmp_path).stderr.count("up-to-date") == 5
        seconds.append(children_seconds() - before)
    print(f"distill run: {first:.1f} s, then {min(seconds):.2f} s of processor time")
    assert first < 90
    assert min(seconds) < 1.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "overrides"),
    [
        ("fashion_mnist", ["teacher=cnn_tiny", "views.count=1"]),
        ("mnist", ["teacher=mlp", "views.count=1"]),
        ("cifar100_crd", ["teacher=mlp", "student=mlp_24", "views.count=1", "student.batch_size=512"]),
        ("flowers", ["teacher=mlp_24", "student=mlp_24", "views.count=1", "data.size=32"]),
    ],
)
def test_every_experiment_runs_end_to_end_on_its_real_data(tmp_path, real_data, experiment, overrides):
    short = ["teacher.epochs=1", "student.epochs=1", "evaluate.latency=false"]
    done = distill(
        "run", f"experiment={experiment}", f"paths.data={real_data}", *short, *overrides, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "report: built" in done.stderr
