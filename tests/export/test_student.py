"""Which network is exported."""

from types import SimpleNamespace

import pytest
import torch
from students import CLASSES, data_set

from distill_cli.artifacts.files import read_sealed_json, write_bytes, write_sealed_json
from distill_cli.artifacts.store import MANIFEST, Place
from distill_cli.errors import ArtifactError
from distill_cli.export.hub import HubFolder
from distill_cli.export.student import Student
from distill_cli.models.artifact import WEIGHTS
from distill_cli.models.build import build_model
from distill_cli.models.reused_classifier import ReusedClassifier, wrapped
from distill_cli.models.weights import weights_bytes

SHAPE = (1, 8, 8)
MLP = {"name": "mlp", "_target_": "distill_cli.models.mlp.Mlp", "depth": 1, "width": 6}


def trained(directory, model, spec, *, reuses_classifier):
    """A plan of a student `mlp`, and its artefact, which says that it is a `spec`."""
    place = Place(directory, "students", "mlp", {"role": "student"})
    place.work.mkdir(parents=True)
    write_bytes(place.work / WEIGHTS, weights_bytes(model))
    place.publish({"model": spec, "data": {}, "metrics": {}})
    config = SimpleNamespace(student=SimpleNamespace(model=MLP))  # as it was typed
    return SimpleNamespace(
        student=place, data=data_set(SHAPE), config=config, reuses_classifier=reuses_classifier
    )


def test_a_student_that_ends_in_its_teachers_classifier_is_exported_as_it_was_trained(tmp_path):
    spec = wrapped(MLP, width=5)
    model = build_model(spec, num_classes=len(CLASSES), image_shape=SHAPE, seed=3).eval()
    found = Student.of(trained(tmp_path, model, spec, reuses_classifier=True)).model
    pictures = torch.rand(4, *SHAPE)
    assert isinstance(found, ReusedClassifier) and torch.equal(found(pictures), model(pictures))


def resealed(plan, spec):
    """Its artefact says that it is another model, and its digest fits."""
    manifest = plan.student.directory / MANIFEST
    write_sealed_json(manifest, {**read_sealed_json(manifest), "model": spec})


@pytest.mark.parametrize("reuses_classifier", [False, True])
def test_nothing_that_an_artefact_names_is_run_or_told(tmp_path, monkeypatch, reuses_classifier):
    spec = wrapped(MLP, width=5) if reuses_classifier else MLP
    model = build_model(spec, num_classes=len(CLASSES), image_shape=SHAPE, seed=3)
    plan = trained(tmp_path / "artifacts", model, spec, reuses_classifier=reuses_classifier)
    ran = tmp_path / "ran"
    evil = {"_target_": "subprocess.check_call", "args": ["touch", str(ran)], "width": 5}
    resealed(plan, {**evil, "backbone": evil})
    monkeypatch.setattr("distill_cli.export.hub.card", lambda _: "")
    folder = tmp_path / "hub"
    folder.mkdir()
    HubFolder().write(Student.of(plan), folder)
    assert not ran.exists()
    assert all("subprocess" not in (folder / name).read_text() for name in ("config.json", MANIFEST))


@pytest.mark.parametrize("width", ["5", True, 0, None, {"_target_": "subprocess.check_call"}])
def test_a_width_that_is_none_is_refused(tmp_path, width):
    spec = wrapped(MLP, width=5)
    model = build_model(spec, num_classes=len(CLASSES), image_shape=SHAPE, seed=3)
    plan = trained(tmp_path, model, spec, reuses_classifier=True)
    resealed(plan, {**spec, "width": width})
    with pytest.raises(ArtifactError, match="says of no teacher's classifier; remove it and run again"):
        Student.of(plan)
