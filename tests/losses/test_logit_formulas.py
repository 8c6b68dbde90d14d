"""Each loss between logits against the published values, its paper's formula, and what the paper says of it."""

import math

import numpy as np
import pytest
import torch
from every_logit_loss import labels
from reference import TEMPERATURES, golden_input, logits, named, published, value_and_gradient

from distill_cli.losses.dist import Dist
from distill_cli.losses.dkd import DecoupledDistillation
from distill_cli.losses.jensen_shannon import JensenShannon
from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.logit_correlation import LogitCorrelation
from distill_cli.losses.lskd import LogitStandardization
from distill_cli.losses.nkd import NormalizedDistillation
from distill_cli.losses.reverse_kl import ReverseKl
from distill_cli.losses.ttm import TransformedTeacherMatching

KD = KnowledgeDistillation()
PUBLISHED = {
    "dkd": DecoupledDistillation,
    "nkd": NormalizedDistillation,
    "dist": Dist,
    "ttm": TransformedTeacherMatching,
    "wttm": lambda power: TransformedTeacherMatching(power, weighted=True),
    "lskd_kl": lambda: LogitStandardization(KD),
}


@pytest.mark.parametrize("entry", published(*PUBLISHED), ids=named)
def test_it_gives_the_value_and_gradient_of_the_published_code(entry):
    arguments = dict(entry["params"])
    temperature = arguments.pop("temperature", 4.0)
    loss = PUBLISHED[entry["loss"]](**arguments)
    student, teacher = golden_input("student_logits"), golden_input("teacher_logits")
    value, gradient = value_and_gradient(loss, student, teacher, temperature, golden_input("labels"))
    assert value == pytest.approx(entry["value"], rel=1e-9)
    assert gradient.norm().item() == pytest.approx(entry["grad_norm"][0], rel=1e-9)


def kl(p, q):
    return float(np.sum(p * np.log(p / q)))


def dkd(p, q, label, temperature):
    """Zhao et al. 2022, equation 7."""
    rest_p, rest_q = np.delete(p, label), np.delete(q, label)
    target = kl(np.array([p[label], rest_p.sum()]), np.array([q[label], rest_q.sum()]))
    return temperature**2 * (1.0 * target + 8.0 * kl(rest_p / rest_p.sum(), rest_q / rest_q.sum()))


def jensen_shannon(p, q, label, temperature, beta=0.5):
    """Agarwal et al. 2023, section 2."""
    mixture = beta * p + (1 - beta) * q
    return temperature**2 * (beta * kl(p, mixture) + (1 - beta) * kl(q, mixture))


FORMULAS = {
    "dkd": (DecoupledDistillation(), dkd),
    "jensen_shannon": (JensenShannon(), jensen_shannon),
    "jensen_shannon, beta 0.1": (JensenShannon(0.1), lambda *of: jensen_shannon(*of, beta=0.1)),
    "reverse_kl": (ReverseKl(), lambda p, q, label, temperature: temperature**2 * kl(q, p)),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_it_is_the_formula_of_its_paper_sample_by_sample(name, temperature):
    loss, formula = FORMULAS[name]
    student, teacher = logits(0), logits(1)
    value, _ = value_and_gradient(loss, student, teacher, temperature, labels(16))
    p, q = ((of / temperature).softmax(1).numpy() for of in (teacher, student))
    rows = [formula(p[i], q[i], int(labels(16)[i]), temperature) for i in range(16)]
    assert value == pytest.approx(np.mean(rows), rel=1e-11)


def test_dkd_is_kd_where_the_other_classes_weigh_what_the_teacher_leaves_them():
    for i in range(16):
        student, teacher, label = logits(0)[i : i + 1], logits(1)[i : i + 1], labels(16)[i : i + 1]
        left = 1 - (teacher / 4).softmax(1)[0, label].item()
        kd, kd_gradient = value_and_gradient(KD, student, teacher, 4.0, label)
        value, gradient = value_and_gradient(DecoupledDistillation(1, left), student, teacher, 4.0, label)
        assert value == pytest.approx(kd, rel=1e-10)
        torch.testing.assert_close(gradient, kd_gradient, rtol=1e-9, atol=1e-13)


def test_dkd_hears_a_teacher_who_is_sure_beyond_the_digits_of_float32():
    """log(1 - p) is log 0 there; what the teacher thinks of the other classes is still known."""
    sure = (logits(1) + 200 * torch.eye(10)[labels(16)]).float()
    student = logits(0).float()
    value, gradient = value_and_gradient(DecoupledDistillation(), student, sure, 1.0, labels(16))
    exact, _ = value_and_gradient(DecoupledDistillation(), student.double(), sure.double(), 1.0, labels(16))
    assert value == pytest.approx(exact, rel=1e-5)
    assert gradient.scatter(1, labels(16)[:, None], 0).abs().max() > 0.1


def test_nkd_pulls_towards_the_target_even_where_the_student_is_its_teacher():
    _, gradient = value_and_gradient(NormalizedDistillation(), logits(0), logits(0), 4.0, labels(16))
    p = logits(0).softmax(1)
    target = torch.eye(10, dtype=torch.float64)[labels(16)]
    expected = (p * target).sum(1, keepdim=True) * (p - target) / 16
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-13)


def test_dist_is_made_of_the_correlations_of_rows_and_of_columns():
    p, q = ((of / 3).softmax(1).numpy() for of in (logits(1), logits(0)))
    rows = np.mean([1 - np.corrcoef(p[i], q[i])[0, 1] for i in range(16)])
    columns = np.mean([1 - np.corrcoef(p[:, j], q[:, j])[0, 1] for j in range(10)])
    value, _ = value_and_gradient(Dist(1.5, 0.5), logits(0), logits(1), 3.0)
    assert value == pytest.approx(9 * (1.5 * rows + 0.5 * columns), rel=1e-6)  # the published 1e-8


def test_dist_grows_with_the_square_of_the_temperature():
    at_100, at_200 = (value_and_gradient(Dist(), logits(0), logits(1), t)[0] for t in (1e3, 2e3))
    assert at_200 == pytest.approx(4 * at_100, rel=0.01)


def test_in_a_batch_of_one_dist_has_no_columns():
    student, teacher = logits(0, rows=1), logits(1, rows=1)
    value, gradient = value_and_gradient(Dist(), student, teacher, 1.0)
    without, same_gradient = value_and_gradient(Dist(gamma=0), student, teacher, 1.0)
    assert value == pytest.approx(without + 2, rel=1e-12)
    assert torch.equal(gradient, same_gradient)


def test_the_correlation_of_logits_is_half_the_mean_square_between_z_scores():
    z = [
        (of - of.mean(1, keepdim=True)) / of.std(1, keepdim=True, correction=0)
        for of in (logits(0), logits(1))
    ]
    value, _ = value_and_gradient(LogitCorrelation(), logits(0), logits(1))
    assert value == pytest.approx((z[0] - z[1]).square().mean().item() / 2, rel=1e-8)


def test_a_row_of_logits_that_are_all_the_same_correlates_with_nothing_and_gets_no_gradient():
    """As of a classifier that starts from zeros; the 1e-8 alone would make that gradient huge."""
    student = logits(0)
    student[3] = 0
    value, gradient = value_and_gradient(LogitCorrelation(), student, logits(1))
    others = torch.arange(16) != 3
    of_others, _ = value_and_gradient(LogitCorrelation(), student[others], logits(1)[others])
    assert value == pytest.approx((15 * of_others + 1) / 16, rel=1e-12)
    assert gradient[3].abs().max() == 0 and gradient.abs().max() < 1


@pytest.mark.parametrize("loss", [LogitCorrelation(), LogitStandardization(KD)], ids=["correlation", "lskd"])
def test_how_large_the_students_logits_are_does_not_matter(loss):
    value, _ = value_and_gradient(loss, logits(0), logits(1), 2.0)
    for scale in (0.01, 100):
        assert value_and_gradient(loss, scale * logits(0), logits(1), 2.0)[0] == pytest.approx(
            value, rel=1e-5
        )


def test_ttm_is_kd_with_a_temperature_for_the_teacher_alone():
    value, gradient = value_and_gradient(TransformedTeacherMatching(0.25), logits(0), logits(1))
    kd, kd_gradient = value_and_gradient(KD, logits(0), logits(1) / 4, 1.0)
    assert value == pytest.approx(kd, rel=1e-11)
    torch.testing.assert_close(gradient, kd_gradient, rtol=1e-10, atol=1e-14)


def test_wttm_weighs_each_sample_by_the_sum_of_its_powers():
    weights = (logits(1).softmax(1) ** 0.25).sum(1)
    plain, weighted = TransformedTeacherMatching(0.25), TransformedTeacherMatching(0.25, weighted=True)
    rows = [value_and_gradient(plain, logits(0)[i : i + 1], logits(1)[i : i + 1])[0] for i in range(16)]
    expected = (weights * torch.tensor(rows, dtype=torch.float64)).mean().item()
    assert value_and_gradient(weighted, logits(0), logits(1))[0] == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("weighted", [False, True])
def test_ttm_is_content_with_a_student_whose_logits_are_the_teachers_times_the_power(weighted):
    loss = TransformedTeacherMatching(0.25, weighted)
    value, gradient = value_and_gradient(loss, logits(1) / 4, logits(1))
    assert value == pytest.approx(0, abs=1e-12) and gradient.abs().max() < 1e-12


def test_jensen_shannon_is_symmetric_and_never_above_t_squared_log_2():
    for temperature in (1.0, 4.0):
        for scale in (1, 1e3):
            one, _ = value_and_gradient(JensenShannon(), scale * logits(0), logits(1), temperature)
            other, _ = value_and_gradient(JensenShannon(), logits(1), scale * logits(0), temperature)
            assert one == pytest.approx(other, rel=1e-11)
            assert 0 < one <= temperature**2 * math.log(2)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_near_agreement_jensen_shannon_is_kd_times_its_shares(beta):
    near = logits(0) + 1e-4 * logits(2)
    value, gradient = value_and_gradient(JensenShannon(beta), near, logits(0), 4.0)
    kd, kd_gradient = value_and_gradient(KD, near, logits(0), 4.0)
    assert value == pytest.approx(beta * (1 - beta) * kd, rel=1e-3)
    torch.testing.assert_close(gradient, beta * (1 - beta) * kd_gradient, rtol=0.01, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TransformedTeacherMatching(0), "power=0 must be above 0"),
        (lambda: JensenShannon(0), "beta=0 must be between 0 and 1; at the ends take loss=kd"),
        (lambda: JensenShannon(1.0), "beta=1.0 must be between 0 and 1"),
    ],
)
def test_a_number_that_means_nothing_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
