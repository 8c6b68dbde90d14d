"""Features of named layers, as they pass."""

import gc
import weakref
from copy import deepcopy

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from distill_cli.errors import ConfigError
from distill_cli.models.cifar_resnet import CifarResNet
from distill_cli.models.taps import Taps

PICTURES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return CifarResNet(num_classes=5, in_channels=3, depth=8).train()


class Takes(nn.Module):
    """A network around a given layer, whose result goes through `after`."""

    def __init__(self, layer, after=lambda handed_on: handed_on):
        super().__init__()
        self.layer, self.after = layer, after

    def forward(self, pictures):
        return self.after(self.layer(pictures))


def test_features_come_in_the_order_of_the_paths_and_as_often_as_named(model):
    taps = Taps(model, ["layer3", "layer1", "layer3"])
    model(PICTURES)
    deep, early, again = taps.take()
    assert (deep.shape, early.shape) == ((2, 64, 4, 4), (2, 16, 16, 16))
    assert again is deep


def test_what_is_caught_is_what_the_layer_computes_with_its_gradient(model):
    taps = Taps(model, ["layer1"])
    model(PICTURES)
    (features,) = taps.take()
    by_hand = model.layer1(model.relu(model.bn1(model.conv1(PICTURES))))
    torch.testing.assert_close(features, by_hand)
    weight = model.conv1.weight
    gradients = [torch.autograd.grad(maps.square().sum(), weight)[0] for maps in (features, by_hand)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("make", [lambda: CifarResNet(num_classes=5, in_channels=3, depth=8), resnet18])
def test_what_goes_into_a_relu_is_caught_before_it_is_written_over(make):
    model = make()
    relu = "layer2.0.relu2" if isinstance(model, CifarResNet) else "layer2.1.relu"
    taps = Taps(model, [f"{relu}:in", "layer2"])
    model(PICTURES)
    before, after = taps.take()
    assert (before < 0).any()
    assert torch.equal(before.relu(), after)


def test_a_layer_that_the_next_one_writes_over_is_refused():
    model = resnet18()
    taps = Taps(model, ["layer1.0.bn1"])
    model(PICTURES)
    with pytest.raises(ConfigError, match=r"'layer1.0.bn1' is written over .* followed by :in"):
        taps.take()


def test_features_are_taken_once(model):
    taps = Taps(model, ["layer1"])
    model(PICTURES)
    taps.take()
    with pytest.raises(ConfigError, match="'layer1' had no part"):
        taps.take()


@pytest.mark.parametrize(("whose", "training"), [("student", True), ("teacher", False)])
def test_a_student_is_caught_in_training_only_and_a_teacher_in_evaluation_only(model, whose, training):
    taps = Taps(model, ["layer2"], whose)
    model.train(not training)(PICTURES)
    with pytest.raises(ConfigError, match=f"the {whose}'s layer 'layer2' had no part"):
        taps.take()
    model.train(training)(PICTURES)
    assert taps.take()[0].shape == (2, 32, 8, 8)


def test_a_copy_of_the_model_carries_no_taps_even_while_features_wait(model):
    taps = Taps(model, ["layer1", "layer2.0.relu2:in"])
    model(PICTURES)
    copy = deepcopy(model)
    copy(torch.zeros_like(PICTURES))
    features = taps.take()
    assert features[0].abs().max() > 0 and features[0].requires_grad
    copy(PICTURES)
    with pytest.raises(ConfigError, match="had no part"):
        taps.take()


def test_nothing_of_a_copys_pass_or_of_a_taken_one_is_kept_alive(model):
    taps, kept = Taps(model, ["layer1"]), []
    copy = deepcopy(model)
    for network in (model, copy):
        network.layer1.register_forward_hook(lambda m, i, output: kept.append(weakref.ref(output)))
        network(PICTURES)
    taps.take()
    gc.collect()
    assert len(kept) == 2 and all(reference() is None for reference in kept)


def test_closed_taps_leave_the_model_as_it_was(model):
    Taps(model, ["layer1", "layer2:in"]).close()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_of_a_module_that_runs_twice_the_last_time_counts():
    model = Takes(nn.Linear(3, 3))
    model.after = lambda row: model.layer(row)
    taps, rows = Taps(model, ["layer"]), torch.rand(2, 3)
    outputs = model(rows)
    assert taps.take()[0] is outputs


def test_of_several_things_handed_on_the_first_counts():
    recurrent = Takes(nn.LSTM(3, 4, batch_first=True))
    taps = Taps(recurrent, ["layer"])
    outputs, _ = recurrent(torch.rand(2, 5, 3))
    assert taps.take()[0] is outputs


@pytest.mark.parametrize(
    ("layer", "what"), [(lambda _: {"a": 1}, "dict"), (lambda m: m.sum(), r"\(\)"), (lambda _: (), "tuple")]
)
def test_what_is_no_tensor_with_a_row_a_sample_is_refused(layer, what):
    model = Takes(Takes(nn.Identity(), layer))
    taps = Taps(model, ["layer"])
    model(PICTURES)
    with pytest.raises(ConfigError, match=f"'layer' gives {what}, which are no features"):
        taps.take()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("layer5", r"has no layer 'layer5'; did you mean 'layer\d'\? It has conv1, bn1, relu, layer1, "),
        ("layer2.3:in", r"no layer 'layer2.3'; did you mean 'layer2.0'\? It has layer2.0"),
        ("layer2.0.rulu2", r"did you mean 'layer2.0.relu2'\? It has layer2.0.conv1"),
        ("fc.weight", r"no layer 'fc.weight'; .*has conv1"),
        ("", "the student has no layer ''; it has conv1"),
        (":in", "the student has no layer ''"),
    ],
)
def test_a_layer_that_is_not_there_is_refused_with_what_is(model, path, message):
    with pytest.raises(ConfigError, match=message) as refused:
        Taps(model, ["layer1", path])
    assert str(refused.value).startswith("loss.layers: ") and "\n" not in str(refused.value)
    assert not any(m._forward_hooks for m in model.modules())


def test_a_model_of_a_single_module_has_no_layers():
    with pytest.raises(ConfigError, match="no layer 'fc'; it has none"):
        Taps(nn.Linear(2, 2), ["fc"])


def test_a_compiled_model_gives_the_same_features_in_every_mode():
    row = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)]
    model = nn.Sequential(nn.Sequential(*row), nn.Flatten(), nn.LazyLinear(5))
    model(PICTURES)
    taps = Taps(model, ["0", "0.2:in"])
    compiled = torch.compile(model, backend="aot_eager")
    for training in (True, False, True):
        compiled.train(training)
        with torch.set_grad_enabled(training):
            compiled(PICTURES)
        if training:
            features = taps.take()
            model(PICTURES)
            for one, other in zip(features, taps.take(), strict=True):
                torch.testing.assert_close(one, other)
                assert one.requires_grad
    compiled.eval()(PICTURES)
    with pytest.raises(ConfigError, match="had no part"):
        taps.take()
