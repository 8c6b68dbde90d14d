"""A student behind its teacher's classifier: what it is made of, how it is saved, and that it learns."""

import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

sys.path.append(str(Path(__file__).parents[1] / "models"))  # for `published_weights`

from published_weights import publish

import distill_cli
from distill_cli.artifacts.files import make_directory, write_bytes
from distill_cli.artifacts.store import Place
from distill_cli.errors import ArtifactError, ConfigError
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.simkd import SimKd
from distill_cli.models.artifact import WEIGHTS
from distill_cli.models.build import build_model
from distill_cli.models.penultimate import Penultimate, classifier_of
from distill_cli.models.reused_classifier import ReusedClassifier, adopt, wrapped
from distill_cli.models.weights import weights_bytes

CLASSES, TEACHERS_WIDTH = 4, 10
SMALL, PHOTO = (1, 8, 8), (3, 32, 32)
MLP = {"name": "mlp", "_target_": "distill_cli.models.mlp.Mlp", "depth": 1, "width": 6}
CNN = {"_target_": "distill_cli.models.cnn.Cnn", "widths": [4], "hidden": 0, "batch_norm": True}
RESNET8 = {"_target_": "distill_cli.models.cifar_resnet.CifarResNet", "depth": 8, "widths": [4, 4, 8, 8]}
RESNET18 = {"_target_": "torchvision.models.resnet18"}
MOBILENET = {"_target_": "torchvision.models.mobilenet_v2"}
VIT = {
    "_target_": "torchvision.models.VisionTransformer",
    "image_size": 32,
    "patch_size": 8,
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 8,
    "mlp_dim": 16,
}
TIMM = {"_target_": "timm.create_model", "model_name": "resnet10t"}
STUDENTS = [
    pytest.param(MLP, SMALL, id="mlp"),
    pytest.param({**MLP, "depth": 0}, SMALL, id="linear"),
    pytest.param(CNN, SMALL, id="cnn"),
    pytest.param(RESNET8, PHOTO, id="resnet8"),
    pytest.param(RESNET18, PHOTO, id="torchvision-resnet18"),
    pytest.param(MOBILENET, PHOTO, id="torchvision-mobilenet"),
    pytest.param(VIT, PHOTO, id="torchvision-vit"),
    pytest.param(TIMM, PHOTO, id="timm-resnet10t", marks=pytest.mark.filterwarnings("ignore")),
]


class Scaled(nn.Module):
    """Its last linear layer is not its last one."""

    def __init__(self, *, num_classes):
        super().__init__()
        self.fc = nn.Linear(64, num_classes)

    def forward(self, pictures):
        return self.fc(pictures.flatten(1))[:, :4] * 2


class Convolutional(nn.Module):
    def __init__(self, *, num_classes):
        super().__init__()
        self.last = nn.Conv2d(1, num_classes, 8)

    def forward(self, pictures):
        return self.last(pictures).flatten(1)


def build(spec, shape, seed=0, pretrained=True):
    return build_model(spec, num_classes=CLASSES, image_shape=shape, seed=seed, pretrained=pretrained)


def classifier(bias=True):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return nn.Linear(TEACHERS_WIDTH, CLASSES, bias=bias)


def student_of(spec, shape, seed=0):
    model = build(wrapped(spec, TEACHERS_WIDTH), shape, seed)
    adopt(model, classifier())
    return model


@pytest.mark.parametrize(("spec", "shape"), STUDENTS)
def test_its_logits_are_what_the_teachers_classifier_says_of_its_embedding(spec, shape):
    if spec is TIMM:
        pytest.importorskip("timm")
    model = student_of(spec, shape).eval()
    penultimate = Penultimate(model, "loss=simkd: the student")
    logits = model(torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)))
    assert penultimate.width == TEACHERS_WIDTH
    torch.testing.assert_close(logits, classifier()(penultimate.take()))


@pytest.mark.parametrize(("spec", "shape"), STUDENTS[:4])
def test_all_but_the_classifier_trains(spec, shape):
    model = student_of(spec, shape)
    penultimate = Penultimate(model, training=True)
    model(torch.randn(5, *shape))
    SimKd()(
        Outputs(None, embedding=penultimate.take()), Outputs(None, embedding=torch.ones(5, 10)), None, 1.0
    ).backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == {name for name, _ in model.named_parameters() if not name.startswith("fc.")}
    assert not any(parameter.requires_grad for parameter in model.fc.parameters())


def test_the_backbone_starts_from_the_weights_that_the_student_has_by_itself():
    alone, inside = build(RESNET8, PHOTO, seed=3), student_of(RESNET8, PHOTO, seed=3).backbone
    own = {name: value for name, value in alone.state_dict().items() if not name.startswith("fc.")}
    assert inside.state_dict().keys() == own.keys()
    assert all(torch.equal(inside.state_dict()[name], value) for name, value in own.items())


def test_the_seed_alone_decides_the_weights():
    first = weights_bytes(student_of(CNN, SMALL, seed=3))
    torch.rand(7)
    assert weights_bytes(student_of(CNN, SMALL, seed=3)) == first
    assert weights_bytes(student_of(CNN, SMALL, seed=4)) != first


def test_the_bottleneck_is_half_as_wide_as_the_teacher():
    assert student_of(MLP, SMALL).projector[0].weight.shape == (5, 6)
    thin = build({**wrapped(MLP, TEACHERS_WIDTH), "factor": 99}, SMALL)
    assert thin.projector[0].weight.shape == (1, 6)


def test_a_classifier_without_a_bias_adds_none():
    model = student_of(MLP, SMALL)
    adopt(model, classifier(bias=False))
    assert not model.fc.bias.any() and torch.equal(model.fc.weight, classifier(bias=False).weight)


def test_the_spec_keeps_the_students_name_in_front():
    spec = wrapped(MLP, TEACHERS_WIDTH)
    assert (spec["name"], spec["backbone"], spec["width"]) == ("mlp", MLP, TEACHERS_WIDTH)
    assert "name" not in wrapped(CNN, TEACHERS_WIDTH)


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ({"_target_": f"{__name__}.Convolutional"}, "has no linear classifier to replace; use another"),
        (
            {"_target_": f"{__name__}.Scaled"},
            r"without its last linear layer 'fc' gives \(2, 4\), not an emb",
        ),
        ({**MLP, "widht": 3}, "did you mean 'width'"),
    ],
)
def test_a_student_whose_classifier_cannot_be_replaced_is_refused_in_one_line(spec, hint):
    with pytest.raises(ConfigError, match=hint) as error:
        student_of(spec, SMALL)
    assert "\n" not in str(error.value) and spec["_target_"] in str(error.value)


@pytest.mark.parametrize("shape", [(9, CLASSES), (TEACHERS_WIDTH, 7)])
def test_a_last_linear_layer_that_is_not_the_teachers_classifier_is_refused_in_one_line(shape):
    with pytest.raises(ConfigError, match="it is not its classifier; use another loss") as error:
        adopt(student_of(MLP, SMALL), nn.Linear(*shape))
    assert "\n" not in str(error.value)


def saved(directory, spec, model, shape):
    place = Place(directory, "students", "student", {"spec": "of a test"})
    make_directory(place.work)
    write_bytes(place.work / WEIGHTS, weights_bytes(model))
    names = [str(number) for number in range(CLASSES)]
    place.publish({"model": spec, "data": {"classes": names, "image_shape": list(shape)}})
    return place.directory


@pytest.mark.parametrize(("spec", "shape"), STUDENTS[:4])
def test_an_artefact_gives_the_student_back_with_its_projector_and_classifier(spec, shape, tmp_path):
    model = student_of(spec, shape, seed=3)
    model(torch.randn(8, *shape))  # statistics of its batch norms
    found = distill_cli.load_model(saved(tmp_path, wrapped(spec, TEACHERS_WIDTH), model, shape))
    pictures = torch.randn(3, *shape)
    assert isinstance(found, ReusedClassifier) and not found.training
    assert torch.equal(found(pictures), model.eval()(pictures))


SYSTEM = {"_target_": "os.system", "command": "touch owned"}


@pytest.mark.parametrize(
    "backbone",
    [
        SYSTEM,
        {**MLP, "width": SYSTEM},
        {**CNN, "widths": [4, [SYSTEM]]},
        wrapped(SYSTEM, 3),
        {"_target_": "distill_cli.config.targets.instantiate_nested", "spec": SYSTEM},
    ],
    ids=["backbone", "argument", "list", "twice", "instantiate"],
)
def test_what_an_artefact_nests_must_be_a_model_on_the_allow_list(backbone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, wrapped(backbone, TEACHERS_WIDTH), student_of(MLP, SMALL), SMALL)
    with pytest.raises(ArtifactError, match="not on the allow-list"):
        distill_cli.load_model(path)
    assert not (tmp_path / "owned").exists()


def test_an_artefact_fetches_no_weights_for_its_backbone(tmp_path, monkeypatch):
    def fetch(*_, **__):
        raise AssertionError("weights were fetched")

    model = student_of(RESNET18, PHOTO)
    monkeypatch.setattr(torchvision.models.WeightsEnum, "get_state_dict", fetch)
    spec = wrapped({**RESNET18, "weights": "DEFAULT"}, TEACHERS_WIDTH)
    found = distill_cli.load_model(saved(tmp_path, spec, model, PHOTO))
    pictures = torch.randn(2, *PHOTO)
    assert torch.equal(found(pictures), model.eval()(pictures))


def test_a_pretrained_backbone_is_fetched_for_training(monkeypatch, tmp_path):
    pretrained, _ = publish(monkeypatch, tmp_path, "resnet18")
    model = student_of({**RESNET18, "weights": "DEFAULT"}, PHOTO)
    assert torch.equal(model.backbone.conv1.weight, pretrained["conv1.weight"])


def test_a_student_that_meets_its_teachers_embeddings_meets_its_logits():
    generator = torch.Generator().manual_seed(0)
    pictures, teacher = torch.randn(32, *SMALL, generator=generator), classifier()
    said = pictures.flatten(1) @ torch.randn(64, 3, generator=generator) / 8
    embeddings = said @ torch.randn(3, TEACHERS_WIDTH, generator=generator)
    model = build({**wrapped({**MLP, "width": 64}, TEACHERS_WIDTH), "factor": 1}, SMALL)
    adopt(model, teacher)
    penultimate = Penultimate(model, training=True)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)

    def distance():
        return (model(pictures) - teacher(embeddings)).square().mean().item()

    before = distance()
    for _ in range(150):
        optimizer.zero_grad()
        model(pictures)
        own, theirs = Outputs(None, embedding=penultimate.take()), Outputs(None, embedding=embeddings)
        SimKd()(own, theirs, None, 1.0).backward()
        optimizer.step()
    assert distance() < 0.05 * before
    assert torch.equal(model.fc.weight, teacher.weight)


def test_the_classifier_of_a_model_is_its_last_linear_layer():
    model = student_of(MLP, SMALL)
    assert classifier_of(model) is model.fc
    assert classifier_of(nn.Conv2d(1, 1, 1)) is None


def test_an_embedding_is_taken_once_and_carries_its_gradient():
    model = build(MLP, SMALL)
    penultimate = Penultimate(model, "loss=rkd: the student", training=True)
    model(torch.randn(2, *SMALL))
    penultimate.take().sum().backward()
    assert model.body[2].weight.grad.abs().max() > 0
    with pytest.raises(ConfigError, match="loss=rkd: the student gives its last linear layer nothing, not"):
        penultimate.take()


@pytest.mark.parametrize("what", ["soft_labels.embedding=true: the teacher", "loss=rkd: the student"])
def test_a_model_without_an_embedding_is_refused_with_who_wants_it(what):
    with pytest.raises(ConfigError, match=f"^{what} has no linear layer to take an embedding from$"):
        Penultimate(nn.Conv2d(1, 1, 1), what)


def test_a_copy_of_a_model_in_the_middle_of_a_step_takes_no_embedding_along():
    model = build(MLP, SMALL)
    penultimate = Penultimate(model, training=True)
    model(torch.randn(2, *SMALL))
    deepcopy(model)(torch.randn(5, *SMALL))
    assert penultimate.take().shape == (2, 6)


@pytest.mark.parametrize("training", [True, False])
def test_an_embedding_is_caught_in_train_mode_of_a_student_and_in_eval_mode_of_a_teacher(training):
    model = build(MLP, SMALL)
    penultimate = Penultimate(model, training=training)
    model.train(training)(torch.randn(2, *SMALL))
    with torch.no_grad():
        model.train(not training)(torch.randn(5, *SMALL))  # the other one's, as in validation
    assert penultimate.take().shape == (2, 6)
