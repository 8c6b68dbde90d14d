"""The moving average of weights, against torch's own."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from distill_cli.training.averages import WeightAverage


def test_it_averages_as_torch_does_and_copies_counters():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).train()
    ours = WeightAverage(model, 0.9)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for step in range(5):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model(torch.randn(8, 4))
        ours.update(model)
        theirs.update_parameters(model)
        assert ours.module[1].num_batches_tracked == step + 1
    for name, value in theirs.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(ours.module.state_dict()[name], value)


def test_it_goes_on_from_its_state():
    model = nn.Linear(2, 2)
    ours, resumed = WeightAverage(model, 0.5), WeightAverage(model, 0.5)
    ours.update(model)
    resumed.load_state_dict(ours.state_dict())
    with torch.no_grad():
        model.weight.zero_()
    for average in (ours, resumed):
        average.update(model)
    assert torch.equal(ours.module.weight, resumed.module.weight)
