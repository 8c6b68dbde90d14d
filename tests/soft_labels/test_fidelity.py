"""What an encoding costs the loss: measured when rows are written, read without torch."""

import json
import subprocess
import sys
from itertools import pairwise

import pytest
import torch

from distill_cli.soft_labels.encodings import Dense
from distill_cli.soft_labels.encodings.error import measure
from distill_cli.soft_labels.encodings.quantised import Int4, Int8
from distill_cli.soft_labels.encodings.top_k import TopK
from distill_cli.soft_labels.fidelity import TEMPERATURES, error_at, kept_at


def logits(rows: int = 32, classes: int = 60, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(rows, classes, generator=torch.Generator().manual_seed(0))


def measured(mean: list[float], rows: int = 1, kept: list[float] | None = None) -> dict:
    return {"temperatures": list(TEMPERATURES), "mean": mean, "kept": kept or mean, "max": mean, "rows": rows}


def by_hand(stored: torch.Tensor, exact: torch.Tensor, temperature: float) -> torch.Tensor:
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    q = ((exact.double() + noise) / temperature).softmax(1)
    kls = []
    for teacher in (stored, exact):
        p = (teacher.double() / temperature).softmax(1)
        kls.append((p * (p / q).log()).sum(1))
    return (kls[0] - kls[1]).abs() / kls[1]


def test_the_error_is_that_of_the_loss_of_a_noisy_student():
    rows = logits()
    found = measure(Dense("bfloat16", 60), rows)
    for number, temperature in enumerate(TEMPERATURES):
        error = by_hand(rows.bfloat16(), rows, temperature)
        assert found["mean"][number] == pytest.approx(error.mean().item(), rel=2e-3)
        assert found["max"][number] == pytest.approx(error.max().item(), rel=2e-3)


def test_float32_costs_nothing():
    found = measure(Dense("float32", 60), logits())
    assert found["mean"] == found["max"] == [0] * 5
    assert found["kept"] == [1] * 5


def test_finer_encodings_measure_better():
    errors = [
        measure(kind, logits())["mean"] for kind in (Dense("float16", 60), Int8(60), Int4(60), TopK(5, 60))
    ]
    for finer, coarser in pairwise(errors):
        assert all(ours < theirs for ours, theirs in zip(finer[1:], coarser[1:], strict=True))


def test_top_k_keeps_less_of_the_loss_the_higher_the_temperature_and_more_the_larger_k():
    few, many = (measure(TopK(k, 60), logits())["kept"] for k in (5, 30))
    assert few == sorted(few, reverse=True) and few[-1] < 0.5
    assert all(less < more < 1.001 for less, more in zip(few, many, strict=True))


def test_the_measure_is_plain_json_with_four_digits_and_repeats():
    found = measure(TopK(5, 60), logits())
    assert json.loads(json.dumps(found)) == found
    assert found == measure(TopK(5, 60), logits())
    assert found["rows"] == 32 and found["temperatures"] == [1, 2, 4, 8, 20]
    assert all(value == float(f"{value:.4g}") for value in found["mean"] + found["max"] + found["kept"])


def test_only_encodings_that_merge_classes_are_called_a_lower_bound():
    assert measure(TopK(5, 60), logits())["lower_bound"] is True
    assert measure(Int4(60), logits())["lower_bound"] is False


def test_rows_whose_loss_is_nothing_count_as_kept():
    sure = torch.zeros(4, 10)
    sure[:, 0] = 2000
    found = measure(TopK(2, 10), sure)
    assert found["mean"][0] == 0 and found["kept"][0] == 1


def test_half_precision_logits_are_measured():
    assert measure(Int8(60), logits().bfloat16())["mean"][0] < 0.01


def test_between_two_temperatures_the_error_is_linear_in_the_logarithm():
    one = [measured([0.0, 0.1, 0.2, 0.3, 0.4])]
    assert error_at(one, 2) == pytest.approx(0.1)
    assert error_at(one, 2**0.5) == pytest.approx(0.05)
    assert error_at(one, 4 * 2**0.25) == pytest.approx(0.225)


@pytest.mark.parametrize(("temperature", "expected"), [(0.1, 0.0), (1, 0.0), (20, 0.4), (1000, 0.4)])
def test_beyond_the_measured_temperatures_the_error_is_that_of_the_end(temperature, expected):
    assert error_at([measured([0.0, 0.1, 0.2, 0.3, 0.4])], temperature) == pytest.approx(expected)


def test_shards_count_by_their_rows():
    both = [measured([0.1] * 5, rows=3, kept=[1.0] * 5), measured([0.5] * 5, rows=1, kept=[0.6] * 5)]
    assert error_at(both, 3) == pytest.approx(0.2)
    assert kept_at(iter(both), 3) == pytest.approx(0.9)


def test_reading_a_measure_needs_no_torch():
    code = "import sys, distill_cli.soft_labels.fidelity; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
