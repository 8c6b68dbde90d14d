"""A classifier that grows: what was known stays known, under the names of the classes."""

import pytest
import torch
from torch import nn

from distill_cli.errors import ConfigError
from distill_cli.models.build import build_model
from distill_cli.models.growth import grow

OLD, NEW = ("cat", "dog", "cow"), ("ant", "cow", "cat", "dog", "eel")
SHAPE = (3, 8, 8)
SPECS = {
    "cnn": {"_target_": "distill_cli.models.cnn.Cnn", "widths": [4, 8], "hidden": 6, "batch_norm": True},
    "mlp": {"_target_": "distill_cli.models.mlp.Mlp", "depth": 2, "width": 12},
    "torchvision": {"_target_": "torchvision.models.mobilenet_v3_small"},
}


def model_of(spec, classes, seed):
    return build_model(spec, num_classes=len(classes), image_shape=SHAPE, seed=seed)


def columns(old=OLD, new=NEW):
    return [new.index(name) if name in new else None for name in old]


def trained(spec, classes=OLD):
    """With weights and running statistics that no seed gives."""
    model = model_of(spec, classes, seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model(torch.randn(16, *SHAPE))
        with torch.no_grad():
            for tensor in model.parameters():
                tensor.add_(0.1 * torch.randn_like(tensor))
    return model.eval()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_grown_model_says_of_old_classes_what_the_former_said_and_of_new_ones_what_a_fresh_head_says(spec):
    former, model, fresh = trained(spec), model_of(spec, NEW, seed=5), model_of(spec, NEW, seed=5)
    grow(model, former, columns(), len(NEW))
    pictures = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(pictures)[:, columns()], former(pictures))
    for name, weights in list(model.state_dict().items())[-2:]:
        assert torch.equal(weights[columns()], former.state_dict()[name])
        assert torch.equal(weights[[0, 4]], fresh.state_dict()[name][[0, 4]])


def test_a_class_that_is_gone_takes_its_row_along():
    former, model = trained(SPECS["mlp"]), model_of(SPECS["mlp"], ("dog", "eel"), seed=5)
    grow(model, former, columns(new=("dog", "eel")), 2)
    assert torch.equal(model.fc.weight[0], former.fc.weight[1])


def test_with_the_same_classes_in_another_order_the_rows_move():
    former, model = trained(SPECS["mlp"]), model_of(SPECS["mlp"], OLD, seed=5)
    grow(model, former, columns(new=("cow", "cat", "dog")), 3)
    assert torch.equal(model.fc.bias[[1, 2, 0]], former.fc.bias)


class Convolutional(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.last = nn.Conv2d(3, classes, 8)

    def forward(self, pictures):
        return self.last(pictures).flatten(1)


class TwoHeads(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(classes))
        self.fc = nn.Linear(192, classes)

    def forward(self, pictures):
        return self.fc(pictures.flatten(1)) * self.scale


def test_without_a_linear_classifier_a_model_goes_on_with_its_own_classes_alone():
    former, model = Convolutional(3), Convolutional(3)
    grow(model, former, [0, 1, 2], 3)
    assert torch.equal(model.last.weight, former.last.weight)
    with pytest.raises(ConfigError, match="it has no linear classifier"):
        grow(Convolutional(5), former, columns(), 5)


def test_what_follows_the_number_of_classes_beside_the_classifier_is_named():
    with pytest.raises(ConfigError, match="'scale' follows their number"):
        grow(TwoHeads(5), TwoHeads(3), columns(), 5)
