"""A bias on a student's logits: what users type, what `fit` finds, and what that does."""

import math

import pytest
import torch
from torch.nn import functional as F

from distill_cli.config.bias import bias_text, read_bias
from distill_cli.errors import ConfigError
from distill_cli.evaluation.bias import corrected, settled
from distill_cli.evaluation.metrics import Predictions

DIGITS = tuple("0123456789")
EVERYWHERE = range(10)
SHOES = ("Sandal", "Sneaker", "Ankle boot")


def said(seed: int = 0, samples: int = 500, scale: float = 2.0) -> Predictions:
    """By a model that hardly ever names class 3, and once in a while a sample without a label."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (samples,), generator=generator)
    logits = scale * torch.randn(samples, 10, generator=generator, dtype=torch.float64)
    logits[range(samples), labels] += 2 * scale
    logits[:, 3] -= 3 * scale
    labels[::50] = -1
    return Predictions(logits, labels)


def nll(predictions: Predictions, bias) -> torch.Tensor:
    found = corrected(predictions, bias, DIGITS).labelled
    return F.cross_entropy(found.logits, found.labels)


@pytest.mark.parametrize(
    ("typed", "bias"),
    [
        (None, {}),
        ({}, {}),
        ("fit", dict.fromkeys(DIGITS)),
        ({3: 3.5}, {"3": 3.5}),
        ({"3": -1}, {"3": -1.0}),
        ({3: "fit", "3": 2}, {"3": 2.0}),  # an experiment's, and an override
        ({8: "fit", 7: 2}, {"7": 2.0, "8": None}),
        ("{8: fit,7:-2e-1}", {"7": -0.2, "8": None}),  # as it is typed
        ("{}", {}),
    ],
)
def test_a_number_or_fit_for_each_class_by_name_or_number(typed, bias):
    found = read_bias(typed, DIGITS, EVERYWHERE)
    assert found == bias and list(found) == list(bias)


def test_names_of_several_words_and_numbers_of_named_classes():
    for typed in ({"Ankle boot": 1, 0: 2}, "{Ankle boot: 1, 0: 2}"):
        assert read_bias(typed, SHOES, ()) == {"Sandal": 2.0, "Ankle boot": 1.0}


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (3.5, r"evaluate.bias=3.5: must be a number for each class, as \{3: 3.5\}, or fit"),
        ("fitted", "evaluate.bias=fitted: must be a number for each class"),
        ([1, 2], "must be a number for each class"),
        ({10: 1}, r"evaluate.bias.10: there is no class 10"),
        ("{3 3.5}", r"evaluate.bias=\{3 3.5\}: must be a number for each class"),
        ("{3: true}", "evaluate.bias.3=true: must be a number, or fit"),
        ({"Sneakers": 1}, "evaluate.bias.Sneakers: there is no class 'Sneakers'"),
        ({3: math.nan}, r"evaluate.bias.3=nan: must be a number, or fit"),
        ({3: math.inf}, "evaluate.bias.3=inf: must be a number"),
        ({3: "much"}, "evaluate.bias.3=much: must be a number"),
        ({3: True}, "evaluate.bias.3=True: must be a number"),
        ({3: None}, "evaluate.bias.3=None: must be a number"),
        ({9: "fit"}, "no sample of class '9' is in the validation part.* set data.validation=0.1"),
        ("fit", "no sample of class '9' is in the validation part"),
    ],
)
def test_a_mistake_is_one_line(typed, line):
    with pytest.raises(ConfigError, match=line):
        read_bias(typed, DIGITS, range(9))


def test_what_has_no_largest_number_is_refused():
    """All that is there is of the fitted classes: the more is added to them, the better."""
    with pytest.raises(ConfigError, match=r"has these classes alone, .*; give one of them a number"):
        read_bias({7: "fit", 8: "fit"}, DIGITS, (7, 8))
    assert read_bias({7: "fit", 8: 0}, DIGITS, (7, 8)) == {"7": None, "8": 0.0}
    assert read_bias("fit", SHOES, range(3)) == dict.fromkeys(SHOES)


def test_the_nearest_name_is_told():
    with pytest.raises(ConfigError, match="did you mean 'Sneaker'"):
        read_bias({"Sneakers": 1}, SHOES, ())


@pytest.mark.parametrize("names", [("3",), ("1", "3", "8"), DIGITS], ids=["one", "some", "all"])
def test_fit_finds_the_smallest_nll(names):
    found = settled(dict.fromkeys(names), said(), DIGITS)
    best = _by_lbfgs(said().labelled, [int(name) for name in names])
    if len(names) == len(DIGITS):
        best = best - best.mean()
    assert list(found) == list(names)
    assert list(found.values()) == pytest.approx(best.tolist(), abs=2e-3)


def _by_lbfgs(known: Predictions, columns: list[int]) -> torch.Tensor:
    bias = torch.zeros(len(columns), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([bias], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        added = known.logits.index_add(1, torch.tensor(columns), bias.expand(len(known.logits), -1))
        value = F.cross_entropy(added, known.labels)
        value.backward()
        return value

    optimizer.step(loss)
    return bias.detach()


def test_a_class_is_then_expected_as_often_as_it_occurs():
    found = settled({"3": None}, said(), DIGITS)
    known = corrected(said(), found, DIGITS).labelled
    assert known.logits.softmax(1)[:, 3].sum() == pytest.approx(int((known.labels == 3).sum()), rel=1e-3)
    before, after = ((one.labelled.logits.argmax(1) == 3).sum() for one in (said(), known))
    assert before < after / 2


def test_numbers_that_are_given_stay_and_what_is_fitted_fits_beside_them():
    found = settled({"1": 4.0, "3": None}, said(), DIGITS)
    assert found["1"] == 4.0 and found["3"] != settled({"3": None}, said(), DIGITS)["3"]
    assert all(nll(said(), found) < nll(said(), {**found, "3": found["3"] + d}) for d in (-0.05, 0.05))
    assert settled({"1": 4.0}, None, DIGITS) == {"1": 4.0}


@pytest.mark.parametrize("names", [("3",), ("1", "3", "8"), DIGITS], ids=["one", "some", "all"])
@pytest.mark.parametrize("scale", [1e-3, 60.0, 1000.0])
def test_the_smallest_nll_is_found_among_logits_of_any_size(scale, names, capsys):
    """It is where each class is expected as often as it occurs, but for the rounding of the numbers."""
    found = settled(dict.fromkeys(names), said(scale=scale), DIGITS)
    known = corrected(said(scale=scale), found, DIGITS).labelled
    expected, counts = known.logits.softmax(1).sum(0), known.labels.bincount(minlength=10)
    for name in names:
        assert expected[int(name)] == pytest.approx(int(counts[int(name)]), abs=0.05)
    assert capsys.readouterr().err == ""


def test_saturated_logits_are_no_trap():
    """No curvature at all where the search begins, and the answer is far away."""
    logits = torch.zeros(100, 2, dtype=torch.float64)
    labels = torch.arange(100) % 2
    logits[range(100), labels] += 50
    logits[:, 1] -= 900
    found = settled({"1": None}, Predictions(logits, labels), ("0", "1"))
    assert found["1"] == pytest.approx(900, abs=40)


def test_a_search_that_is_given_up_says_so(capsys, monkeypatch):
    monkeypatch.setattr("distill_cli.evaluation.bias.MOST_STEPS", 2)
    settled({"3": None}, said(scale=60), DIGITS)
    assert "evaluate.bias: fit stopped after 2 steps" in capsys.readouterr().err


def test_a_bias_moves_its_own_logits_and_no_label():
    plain, moved = said(), corrected(said(), {"3": 3.5, "0": -1.0}, DIGITS)
    difference = moved.logits - plain.logits
    expected = torch.tensor([-1.0, 0, 0, 3.5, 0, 0, 0, 0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(difference, expected.expand_as(difference))
    assert torch.equal(moved.labels, plain.labels)


@pytest.mark.parametrize(
    ("bias", "numbers", "text"),
    [
        ({"3": 3.5}, {"3": 3.5}, "3 +3.5"),
        ({"3": None}, {"3": 1.984}, "3 +1.984, fitted on the 600 validation samples of its validation top-1"),
        (
            {"3": 1.5, "7": None},
            {"3": 1.5, "7": -0.475},
            "3 +1.5, 7 -0.475, of which 7 fitted on the 600 validation samples of its validation top-1",
        ),
    ],
)
def test_a_report_says_what_was_added_and_where_it_comes_from(bias, numbers, text):
    assert bias_text(bias, numbers, 600) == text
