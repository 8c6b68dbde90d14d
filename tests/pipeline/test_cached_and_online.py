"""Promise 2: training from the cache equals training beside the live teacher."""

import pytest
import torch
from safetensors.torch import load_file
from tool import new_session

from distill_cli.stages import distill, gen_soft_labels, train_teacher

SETTINGS = (
    "soft_labels=float32",
    "precision=fp32",
    "teacher.epochs=2",
    "student.epochs=4",
    "views=shift",
    "views.count=3",
)


def weights(directory, *overrides):
    session = new_session(directory, *SETTINGS, *overrides)
    return load_file(distill.run(session).place.directory / "model.safetensors")


def both(directory, *overrides):
    train_teacher.run(new_session(directory, *SETTINGS, *overrides))
    gen_soft_labels.run(new_session(directory, *SETTINGS, *overrides))
    return weights(directory, *overrides), weights(directory, *overrides, "teacher_source=online")


@pytest.mark.parametrize("mixing", ["none", "mixup", "cutmix"])
def test_the_students_are_equal_bit_for_bit_where_the_teacher_does_not_depend_on_its_batch(tmp_path, mixing):
    cached, online = both(tmp_path, "teacher=column_sums", f"views.mixing={mixing}")
    assert all(torch.equal(cached[name], online[name]) for name in cached)


@pytest.mark.parametrize("recipe", ["shift", "crop_flip"])
def test_the_students_of_a_real_network_agree_to_rounding(tmp_path, recipe):
    cached, online = both(tmp_path, f"views={recipe}", "views.count=3", "student=cnn_tiny")
    for name, value in cached.items():
        if value.is_floating_point():
            difference = (value - online[name]).norm() / value.norm()
            assert difference < 1e-4, (name, difference)


def test_labels_of_other_views_would_have_been_noticed(tmp_path):
    """The guard on the guard: a student shown other views than its labels belong to is another student."""
    cached, online = both(tmp_path)
    train_teacher.run(new_session(tmp_path, *SETTINGS))
    other = weights(tmp_path, "teacher_source=online", "views.seed=1")
    assert max((cached[name] - other[name]).norm() / cached[name].norm() for name in cached) > 1e-2
    assert max((cached[name] - online[name]).norm() / cached[name].norm() for name in cached) < 1e-4
