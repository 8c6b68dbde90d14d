"""Files of ONNX and torch.export: what they compute, what they carry, and what cannot become one."""

import json
import logging

import numpy as np
import onnx
import pytest
import torch
from students import CLASSES, configured, random_pixels, student_of, textbook
from torch import nn

from distill_cli.data.loader import Loader
from distill_cli.errors import DistillError
from distill_cli.export.onnx_file import OnnxFile
from distill_cli.export.student import Normalised
from distill_cli.export.torch_program import TorchProgram

GRAPHS = (OnnxFile, TorchProgram)
MODELS = {
    "mlp_24": (1, 8, 8),
    "cnn_digits": (1, 8, 8),
    "resnet8x4": (3, 32, 32),
    "timm_resnet18": (3, 32, 32),
    "mobilenet_v2": (3, 128, 128),
}
SLOW = ("timm_resnet18", "mobilenet_v2")


@pytest.fixture(scope="module")
def folders(cnn, tmp_path_factory):
    """Both files of one student."""
    made = {form: tmp_path_factory.mktemp(form.__name__) for form in GRAPHS}
    for form, folder in made.items():
        form().write(cnn, folder)
    return made


@pytest.mark.parametrize("form", GRAPHS)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in MODELS]
)
def test_a_model_of_ours_gives_its_logits_for_any_batch(name, form, tmp_path):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    student = configured(name, MODELS[name])
    form().write(student, tmp_path)
    run = form().open(student, tmp_path)
    for count in (1, 7, 64):
        pixels = random_pixels(count, MODELS[name])
        expected = textbook(student, pixels)
        assert np.ptp(expected) > 0.01  # so that agreeing means something
        np.testing.assert_allclose(run(pixels), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_a_graph_normalises_as_the_loader_does_to_the_last_bit(cnn):
    graph = Normalised(nn.Identity(), cnn.data.mean, cnn.data.std)
    split = cnn.data.test
    (batch,) = Loader(split, cnn.data, torch.device("cpu")).clean(len(split))
    assert torch.equal(graph(torch.from_numpy(split.images)), batch.inputs)


def test_onnx_carries_what_a_stranger_needs(cnn, folders):
    model = onnx.load(folders[OnnxFile] / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    notes = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(notes["classes"]) == list(CLASSES)
    assert json.loads(notes["preprocessing"])["normalise"]["mean"] == list(cnn.data.mean)
    assert notes["student_key"] == cnn.place.key and notes["distill_cli"]
    (pixels,), (logits,) = model.graph.input, model.graph.output
    assert (pixels.name, pixels.type.tensor_type.elem_type) == ("pixels", onnx.TensorProto.UINT8)
    assert [dim.dim_param or dim.dim_value for dim in pixels.type.tensor_type.shape.dim] == ["batch", 1, 8, 8]
    assert [dim.dim_param or dim.dim_value for dim in logits.type.tensor_type.shape.dim] == ["batch", 3]


def test_a_program_carries_what_a_stranger_needs(cnn, folders):
    beside = {"classes.json": "", "preprocessing.json": ""}
    torch.export.load(folders[TorchProgram] / "model.pt2", extra_files=beside)
    assert json.loads(beside["classes.json"]) == list(CLASSES)
    assert json.loads(beside["preprocessing.json"]) == cnn.preprocessing(normalised_by="the model")


@pytest.mark.parametrize("form", GRAPHS)
def test_files_tell_nothing_of_the_machine_that_wrote_them(form, folders):
    for path in folders[form].iterdir():
        content = path.read_bytes()
        assert b".py" not in content and b"stack_trace" not in content


@pytest.mark.parametrize("form", GRAPHS)
def test_equal_students_are_equal_bytes(form, cnn, folders, tmp_path):
    form().write(cnn, tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folders[form] / path.name).read_bytes()


class LooksAtPictures(nn.Module):
    def forward(self, inputs):
        return inputs.flatten(1)[:, :3] if inputs.sum() > 0 else inputs.flatten(1)[:, 3:6]


class CountsPictures(nn.Module):
    def forward(self, inputs):
        return inputs.flatten(1)[:, :3] * (2 if len(inputs) > 5 else 1)


@pytest.mark.parametrize("form", GRAPHS)
@pytest.mark.parametrize("model", [LooksAtPictures, CountsPictures])
def test_a_model_without_a_graph_is_one_line(form, model, tmp_path, capfd):
    with pytest.raises(DistillError, match=r"^torch.export cannot export toy: .*format=hub") as raised:
        form().write(student_of(model(), (1, 8, 8)), tmp_path)
    assert raised.value.exit_code == 1 and len(str(raised.value)) < 450 and "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir()) and capfd.readouterr() == ("", "")


def test_an_onnx_export_says_nothing_of_its_own(cnn, tmp_path, capfd, caplog):
    caplog.set_level(logging.INFO)
    OnnxFile().write(cnn, tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]
