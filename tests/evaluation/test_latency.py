"""Latency: plausible, ordered, and without side effects."""

import torch
from torch import nn

from distill_cli.evaluation.latency import latency
from distill_cli.runtime.device import resolve


def test_latency_has_medians_and_tails_for_both_batch_sizes_and_a_slower_model_is_slower():
    small = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    large = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 4000), nn.Linear(4000, 4000), nn.Linear(4000, 10)
    ).eval()
    runtime = resolve("cpu", "fp32", "false")
    quick, slow = (latency(model, (1, 8, 8), runtime) for model in (small, large))
    assert quick.keys() == {f"latency_ms_b{b}_{p}" for b in (1, 64) for p in ("p50", "p95")}
    assert 0 < quick["latency_ms_b1_p50"] <= quick["latency_ms_b1_p95"]
    assert slow["latency_ms_b1_p50"] > quick["latency_ms_b1_p50"]
    assert not torch.is_inference_mode_enabled()
