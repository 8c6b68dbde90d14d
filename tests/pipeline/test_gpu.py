"""On a CUDA device: make test ARGS='-m gpu'. Skipped where there is none."""

import pytest
import torch
from safetensors.torch import load_file
from tool import QUICK, distill, new_session

from distill_cli.stages import distill as distill_stage
from distill_cli.stages import evaluate, gen_soft_labels, train_teacher

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_pipeline_runs_on_a_gpu_and_the_student_learns(tmp_path, precision):
    overrides = ("device=cuda", f"precision={precision}", "teacher.epochs=20", "student.epochs=60")
    for stage in (train_teacher, gen_soft_labels, distill_stage):
        stage.run(new_session(tmp_path, *overrides))
    distill_stage.run_baseline(new_session(tmp_path, *overrides))
    report = evaluate.run(new_session(tmp_path, *overrides))
    assert report.more["models"]["teacher"]["top1"] > 0.97
    assert report.more["models"]["student"]["top1"] > 0.94


@pytest.mark.parametrize("mixing", ["none", "cutmix"])
def test_cached_and_online_agree_on_a_gpu(tmp_path, mixing):
    overrides = (
        "device=cuda",
        "precision=fp32",
        "soft_labels=float32",
        "teacher.epochs=3",
        "student.epochs=4",
    )
    overrides = (*overrides, "views=shift", "views.count=3", f"views.mixing={mixing}")
    for stage in (train_teacher, gen_soft_labels):
        stage.run(new_session(tmp_path, *overrides))
    cached, online = (
        load_file(
            distill_stage.run(new_session(tmp_path, *overrides, *more)).place.directory / "model.safetensors"
        )
        for more in ((), ("teacher_source=online",))
    )
    for name, value in cached.items():
        assert (value - online[name]).norm() / value.norm() < 1e-3, name


def test_artefacts_of_a_gpu_serve_a_cpu(tmp_path):
    assert distill("run", "device=cuda", "precision=fp32", *QUICK, cwd=tmp_path).returncode == 0
    again = distill("run", "device=cpu", "precision=fp32", *QUICK, cwd=tmp_path)
    assert again.returncode == 0 and again.stderr.count("up-to-date") == 5


def test_compiled_training_on_a_gpu_learns(tmp_path):
    overrides = ("device=cuda", "compile=true", "teacher.epochs=20")
    assert train_teacher.run(new_session(tmp_path, *overrides)).metrics["test_top1"] > 0.97
