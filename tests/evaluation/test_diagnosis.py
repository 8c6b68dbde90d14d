"""Each rule of the diagnosis on figures made for it: where it speaks, where it is silent, and at the edge."""

import json
import math
from dataclasses import replace

import pytest

from distill_cli.evaluation.diagnosis import (
    ANOTHER_DOUBLING,
    AT_CHANCE,
    BARE_SOFT_LABELS,
    BARELY_TRAINED,
    CONTRADICTED,
    FLAT_SOFT_LABELS,
    MOST_ALPHA,
    MOST_FINDINGS,
    OPPOSED,
    OVERCONFIDENT,
    STILL_FALLING,
    UNDERFIT,
    UNLEARNED,
    diagnose,
)
from distill_cli.evaluation.evidence import Evidence, Remedies, compared_epochs

REMEDIES = Remedies(
    larger_student="student.model.width=48",
    longer_training="student.epochs=450",
    better_teacher="teacher.epochs=180",
    more_alpha="alpha=0.9",
    temperature="temperature=2",
    telling_views="views.mixing=cutmix temperature=2",
    longer_teacher="teacher.epochs=150",
    lighter_loss=None,
    steadier_training="student.clip_norm=1",
)

# Five points behind its teacher for no known reason: everything else is as it should be.
BEHIND = Evidence(
    test_samples=1000,
    student_top1=0.93,
    teacher_top1=0.98,
    baseline_top1=0.92,
    student_agreement=0.94,
    baseline_agreement=0.93,
    alpha=0.5,
    epochs=150,
    fall=0.2,
    train_top1=0.99,
    chance=0.1,
    label_agreement=0.99,
    teacher_confidence=0.95,
    entropy=0.1,
    coldest_entropy=0.3,
    hottest_entropy=0.3,
    unlearned=0.03,
    gradient_cosine=0.2,
    remedies=REMEDIES,
)


WEIGHTED = replace(REMEDIES, lighter_loss="loss.weight=5")  # a loss with a weight of its own


def rules(**changed):
    return [finding.rule for finding in diagnose(replace(BEHIND, **changed))]


def least_above(value):
    return math.nextafter(value, math.inf)


def most_below(value):
    return math.nextafter(value, -math.inf)


def test_figures_without_a_fault_give_no_finding():
    assert rules() == []


FAULTS = {
    "student_too_small": {"train_top1": 0.9, "unlearned": 0.2, "fall": 0.05},
    "too_few_epochs": {"unlearned": 0.2, "fall": 0.3},
    "temperature_too_high": {"coldest_entropy": 0.99, "hottest_entropy": 0.99, "unlearned": 0.2},
    "temperature_too_low": {"coldest_entropy": 0.01, "hottest_entropy": 0.01},
    "terms_at_odds": {"gradient_cosine": -0.9, "label_agreement": 0.7},
    "teacher_barely_better": {"baseline_top1": 0.975},
    "teacher_overconfident": {"teacher_confidence": 0.999, "entropy": 0.001, "teacher_top1": 0.95},
    "training_collapsed": {"train_top1": 0.12},
    "soft_loss_drowns": {"baseline_top1": 0.975, "student_top1": 0.85, "remedies": WEIGHTED},
}


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_is_found_with_its_evidence_and_an_override_to_try(rule):
    (finding,) = diagnose(replace(BEHIND, **FAULTS[rule]))
    document = finding.document()
    assert document.keys() == {"rule", "says", "evidence", "try"} and document["rule"] == rule
    assert document["says"].endswith(".") and "\n" not in document["says"]
    assert all(math.isfinite(value) for value in document["evidence"].values())
    assert "=" in document["try"] and json.dumps(document)


@pytest.mark.parametrize("rule", FAULTS)
def test_a_student_that_keeps_up_gets_no_finding_whatever_its_figures(rule):
    evidence = replace(BEHIND, student_top1=0.98, teacher_top1=0.985, student_agreement=0.99)
    kept_up = replace(evidence, **{**FAULTS[rule], "student_top1": 0.98, "teacher_top1": 0.98})
    assert diagnose(kept_up) == []


@pytest.mark.parametrize("rule", FAULTS)
def test_a_rule_is_silent_where_a_figure_it_needs_is_not_known(rule):
    for name in FAULTS[rule]:
        if name not in ("coldest_entropy", "hottest_entropy", "teacher_top1", "student_top1", "remedies"):
            assert rule not in rules(**{**FAULTS[rule], name: None})
    assert "temperature_too_high" not in rules(**FAULTS["temperature_too_high"], entropy=None)
    assert not rules(coldest_entropy=None, hottest_entropy=None)  # a loss without a temperature


AT_THE_EDGE = [
    ("training_collapsed", {}, "train_top1", 0.1 + 0.9 * AT_CHANCE - 1e-9, 0.1 + 0.9 * AT_CHANCE + 1e-9),
    ("too_few_epochs", {"unlearned": 0.2}, "fall", STILL_FALLING, most_below(STILL_FALLING)),
    (
        "too_few_epochs",
        {"fall": 0.5},
        "unlearned",
        2 * ANOTHER_DOUBLING,
        most_below(2 * ANOTHER_DOUBLING),
    ),
    (
        "student_too_small",
        {"train_top1": 0.9, "unlearned": 0.2},
        "fall",
        most_below(STILL_FALLING),
        STILL_FALLING,
    ),
    (
        "student_too_small",
        {"unlearned": 0.2, "fall": 0.05},
        "train_top1",
        0.98 - UNDERFIT - 1e-9,
        0.98 - UNDERFIT + 1e-9,
    ),
    (
        "temperature_too_high",
        {"unlearned": 0.2, "fall": 0.05},
        "coldest_entropy",
        FLAT_SOFT_LABELS,
        most_below(FLAT_SOFT_LABELS),
    ),
    ("temperature_too_high", {"coldest_entropy": 0.99}, "unlearned", UNLEARNED, most_below(UNLEARNED)),
    ("temperature_too_low", {}, "hottest_entropy", BARE_SOFT_LABELS, least_above(BARE_SOFT_LABELS)),
    ("terms_at_odds", {"label_agreement": 0.7}, "gradient_cosine", OPPOSED, least_above(OPPOSED)),
    ("terms_at_odds", FAULTS["terms_at_odds"], "alpha", most_below(MOST_ALPHA), MOST_ALPHA),
    ("terms_at_odds", FAULTS["terms_at_odds"], "alpha", 1e-9, 0.0),
    (
        "terms_at_odds",
        {"gradient_cosine": -0.9},
        "label_agreement",
        0.98 - CONTRADICTED - 1e-9,
        0.98 - CONTRADICTED + 1e-9,
    ),
    (
        "teacher_overconfident",
        {"entropy": 0.001, "teacher_top1": 0.95},
        "teacher_confidence",
        0.95 + OVERCONFIDENT + 1e-9,
        0.95 + OVERCONFIDENT - 1e-9,
    ),
    (
        "teacher_overconfident",
        {"teacher_confidence": 0.999, "teacher_top1": 0.95},
        "entropy",
        BARE_SOFT_LABELS,
        least_above(BARE_SOFT_LABELS),
    ),
]


@pytest.mark.parametrize(("rule", "fault", "figure", "inside", "outside"), AT_THE_EDGE)
def test_a_rule_speaks_up_to_its_threshold_and_no_further(rule, fault, figure, inside, outside):
    assert rule in rules(**{**fault, figure: inside})
    assert rule not in rules(**{**fault, figure: outside})


def test_a_teacher_is_barely_better_within_the_noise_of_the_samples_on_which_the_two_differ():
    noise = 1.96 * math.sqrt((1 - 0.93) / 1000)  # McNemar: at most 70 samples decide
    assert "teacher_barely_better" in rules(baseline_top1=0.98 - noise + 1e-9)
    assert "teacher_barely_better" not in rules(baseline_top1=0.98 - noise - 1e-9)
    assert "teacher_barely_better" not in rules(baseline_top1=0.98 - noise + 1e-9, test_samples=2000)


def test_behind_means_below_the_teacher_by_more_than_noise_or_without_gain():
    noise = 1.96 * math.sqrt((1 - 0.94) / 1000)
    short = FAULTS["too_few_epochs"]
    assert rules(**short, student_top1=0.98 - noise - 1e-9)
    assert not rules(**short, student_top1=0.98 - noise + 1e-9)
    assert rules(**short, student_top1=0.975, baseline_top1=0.975)
    assert not rules(**short, student_top1=0.975, baseline_top1=None)
    assert not rules(**short, student_top1=0.99, baseline_top1=0.9)  # better than its teacher
    nothing = math.nan  # figures of a test part without samples
    assert not rules(
        **short, student_top1=nothing, teacher_top1=nothing, baseline_top1=nothing, test_samples=0
    )


def test_wrong_labels_are_no_lack_of_units():
    fault = {"train_top1": 0.69, "unlearned": 0.2, "fall": 0.05}
    assert "student_too_small" in rules(**fault, label_agreement=0.99)
    assert "student_too_small" not in rules(**fault, label_agreement=0.69)


def test_a_moving_temperature_is_too_high_only_where_it_always_is_and_too_low_likewise():
    assert "temperature_too_high" not in rules(coldest_entropy=0.3, hottest_entropy=0.99, unlearned=0.2)
    assert "temperature_too_low" not in rules(coldest_entropy=0.01, hottest_entropy=0.3)


def test_a_teacher_that_is_unsure_at_one_is_not_blamed_on_the_temperature():
    assert "temperature_too_high" not in rules(**FAULTS["temperature_too_high"], entropy=0.9)


def test_where_the_temperature_is_wrong_what_is_not_learned_is_not_blamed_on_the_epochs():
    unlearned = {"unlearned": 0.2, "fall": 0.3}
    assert rules(**unlearned, coldest_entropy=0.99, hottest_entropy=0.99) == ["temperature_too_high"]
    assert rules(**unlearned, coldest_entropy=0.01, hottest_entropy=0.01) == ["temperature_too_low"]


def test_an_overconfident_teacher_is_named_instead_of_the_temperature_that_its_remedy_raises():
    fault = {**FAULTS["teacher_overconfident"], **FAULTS["temperature_too_low"]}
    assert rules(**fault) == ["teacher_overconfident"]


def sentence(**changed):
    (finding,) = diagnose(replace(BEHIND, **changed))
    return finding.says


@pytest.mark.parametrize(
    ("epochs", "compared"), [(2, (1, 2)), (3, (1, 2)), (4, (1, 2)), (7, (1, 3)), (8, (2, 4)), (150, (37, 75))]
)
def test_the_epochs_between_which_the_loss_fell_are_named(epochs, compared):
    assert compared_epochs(epochs) == compared
    said = sentence(**FAULTS["too_few_epochs"], epochs=epochs)
    assert (
        f"From epoch {compared[0]} to epoch {compared[1]} of {epochs} the student's loss still fell" in said
    )


def test_a_student_worse_than_equal_probabilities_has_no_share_that_it_has_not_learned():
    assert "99.9% of what the soft labels say" in sentence(fall=0.3, unlearned=0.999)
    said = sentence(fall=0.3, unlearned=6.024)
    assert "further from the soft labels than equal probabilities are" in said and "602" not in said


def test_a_teacher_that_is_worse_than_the_baseline_beyond_noise_is_called_worse():
    behind = {"student_top1": 0.9, "teacher_top1": 0.1425, "baseline_agreement": 0.1}
    said = sentence(**behind, baseline_top1=0.9467)
    assert said == "The teacher is worse than the student trained without it, by 80.42 points."
    within = sentence(**behind, baseline_top1=0.9, test_samples=1)
    assert "does not exceed the noise" in within


def test_the_best_fitting_cause_comes_first_and_more_than_three_are_not_said():
    several = {**FAULTS["terms_at_odds"], **FAULTS["too_few_epochs"], "unlearned": 0.05}
    assert rules(**several) == ["terms_at_odds", "too_few_epochs"]
    assert rules(**{**several, "unlearned": 0.9, "label_agreement": 0.92}) == [
        "too_few_epochs",
        "terms_at_odds",
    ]
    all_at_once = {
        **FAULTS["teacher_overconfident"],
        **FAULTS["terms_at_odds"],
        **FAULTS["too_few_epochs"],
        "baseline_top1": 0.95,
    }
    found = rules(**all_at_once)
    assert len(found) == MOST_FINDINGS and found[0] == "teacher_barely_better"


CHAINED = {"taught_by": "Assistant mlp", "taught_by_top1": 0.9}


def test_in_a_chain_soft_labels_are_held_against_whoever_gave_them_and_that_one_is_named():
    of_teacher = replace(BEHIND, teacher_confidence=0.999, entropy=0.01, teacher_top1=0.98)
    assert diagnose(of_teacher) == []  # as good as it is sure
    (found,) = diagnose(replace(of_teacher, **CHAINED))
    assert found.rule == "teacher_overconfident"
    assert found.says.startswith(
        "Assistant mlp is 99.9% sure of its labels on the train views but right on 90.0%"
    )


def test_in_a_chain_the_student_is_behind_the_first_teacher_but_owes_no_more_than_it_was_taught():
    chained = replace(BEHIND, **CHAINED)
    assert chained.is_behind and chained.drop == BEHIND.drop
    assert chained.underfit < BEHIND.underfit


def test_a_loss_with_a_weight_of_its_own_is_not_told_to_change_alpha():
    at_odds = replace(BEHIND, gradient_cosine=-0.9, label_agreement=0.8, alpha=0.5)
    assert [found.rule for found in diagnose(at_odds)] == ["terms_at_odds"]
    assert diagnose(replace(at_odds, alpha=None)) == []


DROWNED = FAULTS["soft_loss_drowns"]
COLLAPSED = {"baseline_top1": 0.97, "student_top1": 0.11, "student_agreement": 0.11, "train_top1": 0.1}


def test_a_loss_drowns_the_hard_one_where_the_same_student_is_better_without_it_by_more_than_noise():
    noise = 1.96 * math.sqrt((2 - 0.94 - 0.93) / 1000)  # at most as many differ as differ from the teacher
    assert rules(**{**DROWNED, "student_top1": 0.975 - noise - 1e-9}) == ["soft_loss_drowns"]
    assert "soft_loss_drowns" not in rules(**{**DROWNED, "student_top1": 0.975 - noise + 1e-9})


def test_of_a_training_that_broke_no_other_figure_is_judged():
    others = FAULTS["student_too_small"] | FAULTS["terms_at_odds"] | FAULTS["temperature_too_low"]
    assert rules(**{**others, **DROWNED}) == ["soft_loss_drowns"]
    assert rules(**{**others, **COLLAPSED}) == ["training_collapsed"]


def test_a_loss_that_goes_by_alpha_drowns_nothing():
    assert "soft_loss_drowns" not in rules(**{**DROWNED, "remedies": REMEDIES})


def test_a_weight_is_to_blame_for_a_student_at_chance_only_where_the_loss_is_not_between_logits():
    assert rules(**COLLAPSED, remedies=WEIGHTED) == ["training_collapsed"]
    assert rules(**COLLAPSED, remedies=WEIGHTED, unlearned=None) == ["soft_loss_drowns"]


def test_a_student_that_guesses_as_its_teacher_or_as_it_does_alone_has_not_broken_down():
    assert "training_collapsed" not in rules(**{**COLLAPSED, "baseline_top1": 0.2})
    misled = {**COLLAPSED, "student_top1": 0.09, "teacher_top1": 0.11, "remedies": WEIGHTED}
    assert rules(**misled, unlearned=None) == ["teacher_barely_better"]


def test_a_teacher_far_below_its_student_alone_trains_longer_before_it_gets_larger():
    def advice(teacher_top1, **changed):
        found = replace(BEHIND, baseline_top1=0.97, teacher_top1=teacher_top1, **changed)
        return {finding.rule: finding.try_ for finding in diagnose(found)}["teacher_barely_better"]

    assert advice(0.97 - BARELY_TRAINED - 1e-9) == "teacher.epochs=150"
    assert advice(0.97 - BARELY_TRAINED + 1e-9) == "teacher.epochs=180"
    trained_as_long = replace(REMEDIES, longer_teacher=None)
    assert advice(0.09, remedies=trained_as_long) == "teacher.epochs=180"
