"""Which network is exported."""

from types import SimpleNamespace

import torch
from students import CLASSES, data_set

from distill_cli.artifacts.files import write_bytes
from distill_cli.artifacts.store import Place
from distill_cli.export.student import Student
from distill_cli.models.artifact import WEIGHTS
from distill_cli.models.build import build_model
from distill_cli.models.reused_classifier import ReusedClassifier, wrapped
from distill_cli.models.weights import weights_bytes

SHAPE = (1, 8, 8)
MLP = {"name": "mlp", "_target_": "distill_cli.models.mlp.Mlp", "depth": 1, "width": 6}


def test_a_student_that_ends_in_its_teachers_classifier_is_exported_as_it_was_trained(tmp_path):
    spec = wrapped(MLP, width=5)
    model = build_model(spec, num_classes=len(CLASSES), image_shape=SHAPE, seed=3).eval()
    place = Place(tmp_path, "students", "mlp", {"role": "student"})
    place.work.mkdir(parents=True)
    write_bytes(place.work / WEIGHTS, weights_bytes(model))
    place.publish({"model": spec, "metrics": {}})
    config = SimpleNamespace(student=SimpleNamespace(model=MLP))  # as it was typed
    found = Student.of(SimpleNamespace(student=place, data=data_set(SHAPE), config=config)).model
    pictures = torch.rand(4, *SHAPE)
    assert isinstance(found, ReusedClassifier) and torch.equal(found(pictures), model(pictures))
