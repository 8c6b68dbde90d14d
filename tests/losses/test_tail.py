"""The tail's log-sum-exp out of its table, against the sum itself in float64, for rows of many kinds."""

import math

import pytest
import torch

from distill_cli.errors import ConfigError
from distill_cli.losses.tail import Tail, node_count, temperatures

WITHIN = [20 ** (step / 97) for step in range(98)]  # 1 to 20


def families(rows: int, classes: int) -> dict[str, torch.Tensor]:
    """float64 logits (rows, classes) of shapes that teachers have, and of some that they should not have."""
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    uniform = torch.rand(rows, classes, generator=generator, dtype=torch.float64)
    found = {f"gaussian x {scale}": scale * normal for scale in (0.3, 1, 3, 10)}
    found |= {"heavy tails": normal / uniform.clamp(min=1e-4), "range 100": 100 * uniform}
    found |= {"constant": torch.zeros_like(normal), "exponential": -10 * uniform.log()}
    found["one large"] = 2 * normal + 15 * torch.eye(rows, classes, dtype=torch.float64)
    for gap in (5, 20, 50, 100):
        for share in (1, 60, max(1, classes // 10)):
            high = torch.arange(classes) < share
            found[f"{share} higher by {gap}"] = 0.3 * normal + gap * high
    return found


def tail_after(k: int, logits: torch.Tensor) -> torch.Tensor:
    return logits.sort(dim=1, descending=True).values[:, k:]


@pytest.mark.parametrize(
    ("classes", "k"), [(2, 1), (10, 1), (10, 9), (100, 1), (100, 50), (1000, 1), (1000, 50), (30_000, 50)]
)
def test_the_mass_of_the_tail_is_known_to_half_a_percent_at_every_temperature(classes, k):
    for name, logits in families(6 if classes < 30_000 else 2, classes).items():
        rest = tail_after(k, logits)
        tail = Tail.of(rest)
        for temperature in WITHIN if classes < 30_000 else WITHIN[::7]:
            exact = (rest / temperature).logsumexp(dim=1)
            share = (tail.log_sum_exp(temperature) - exact).exp()
            assert (share - 1).abs().max() < 0.005, (name, temperature)


@pytest.mark.parametrize("temperature", [20.001, 25, 40, 100, 1e4, 1e9])
def test_above_the_last_node_the_mass_of_plain_tails_stays_known(temperature):
    for name in ("gaussian x 1", "gaussian x 3", "gaussian x 10", "one large"):
        rest = tail_after(50, families(6, 1000)[name])
        exact = (rest / temperature).logsumexp(dim=1)
        assert ((Tail.of(rest).log_sum_exp(temperature) - exact).exp() - 1).abs().max() < 0.005, name


def test_at_a_node_the_table_is_exact():
    logits = families(6, 300)["gaussian x 3"]
    for temperature in temperatures(node_count(300)):
        exact = (logits / temperature).logsumexp(dim=1)
        torch.testing.assert_close(Tail.of(logits).log_sum_exp(temperature), exact, rtol=1e-12, atol=1e-12)


def test_the_nodes_run_from_1_to_20_and_grow_with_the_log_of_the_count():
    assert temperatures(14)[0] == 1 and temperatures(14)[-1] == pytest.approx(20)
    assert temperatures(14) == sorted(temperatures(14))
    assert [node_count(count) for count in (1, 90, 950, 30_000, 2**32)] == [14, 14, 18, 27, 58]


def test_nothing_jumps_where_the_table_ends():
    tail = Tail.of(families(6, 300)["gaussian x 3"])
    torch.testing.assert_close(tail.log_sum_exp(20), tail.log_sum_exp(20 + 1e-9), rtol=1e-9, atol=0)


def test_where_the_temperature_has_no_end_the_log_of_the_count_is_left():
    tail = Tail.of(families(6, 300)["gaussian x 3"])
    assert tail.log_sum_exp(1e12).tolist() == pytest.approx([math.log(300)] * 6, abs=1e-9)


def test_temperatures_below_1_are_refused_in_one_line_with_the_way_out():
    with pytest.raises(
        ConfigError, match=r"from temperature=1 up, not at 0\.5; use soft_labels=float16"
    ) as error:
        Tail.of(families(6, 300)["constant"]).log_sum_exp(0.5)
    assert "\n" not in str(error.value)
