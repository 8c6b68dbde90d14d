"""Pairs of the CRD protocol whose architectures differ, trained for a step by losses that look inside."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tool import new_session

from distill_cli.stages import distill, train_teacher
from distill_cli.stages.jobs.workplace import new_model

PAIRS = {  # teacher, made shallow or narrow, and student
    "vgg13-mobilenet_v2_half": ("vgg13", "mobilenet_v2_half"),
    "resnet50_cifar-vgg8": ("resnet50_cifar teacher.model.width=16 teacher.model.blocks=[1,1,1,1]", "vgg8"),
    "wrn_40_2-shufflenet_v1": ("wrn_40_2 teacher.model.depth=10", "shufflenet_v1"),
    "resnet32x4-shufflenet_v2": ("resnet32x4 teacher.model.depth=8", "shufflenet_v2"),
}
LOOK_INSIDE = "loss=[attention_transfer,fitnets,reviewkd,crd]"
SHORT = ("teacher.epochs=1", "student.epochs=1", "student.optimizer.weight_decay=0", "views.count=1")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Six of two classes, 32x32, in three colours."""
    file = tmp_path_factory.mktemp("data") / "few.npz"
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    parts = {"images": images, "labels": np.arange(6) % 2}
    held_out = {f"{part}_{name}": parts[name][:2] for part in ("val", "test") for name in parts}
    np.savez(file, **parts, **held_out)
    return file


@pytest.mark.parametrize(("teacher", "student"), PAIRS.values(), ids=PAIRS)
def test_features_and_embeddings_of_another_architecture_move_every_weight(
    tmp_path, pictures, teacher, student
):
    pair = ("experiment=cifar100_crd_light", *f"teacher={teacher}".split(), f"student={student}")
    data = ("data=arrays", f"data.file={pictures}", "precision=fp32")
    session = new_session(tmp_path, *pair, *data, *SHORT, LOOK_INSIDE)
    train_teacher.run(session)
    trained = load_file(distill.run(session).place.directory / "model.safetensors")
    plan = session.plan
    fresh = new_model(plan, plan.config.student.model, plan.config.student.seed).state_dict()
    weights = [name for name, tensor in fresh.items() if tensor.ndim > 1]
    assert weights and not [name for name in weights if torch.equal(fresh[name], trained[name])]
