"""Why a student stays behind: the known causes, each held against figures of the run. No torch.

A rule is a function from the evidence to a finding, or to None: where its cause does not fit, or where a figure
it needs is not known. Nothing is said of a student that keeps up; of one whose training broke, nothing else. Where
the thresholds come from, and what following the advice brought, is in docs/diagnosis.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distill_cli.evaluation.evidence import Evidence, compared_epochs, noise_of

MOST_FINDINGS = 3  # more advice than that is none

STILL_FALLING = 0.12  # `fall` from which more epochs paid; below it more units did
ANOTHER_DOUBLING = 0.014  # `unlearned` times `fall`: what it would bring, from which more epochs paid
UNLEARNED = 0.06  # `unlearned` of students that cannot follow; those that can have 0.02 to 0.055
UNDERFIT = 0.01  # train accuracy below the teacher's: one picture in a hundred that the student cannot hold
FLAT_SOFT_LABELS = 0.85  # relative entropy: classes that are all but ruled out weigh like the others
BARE_SOFT_LABELS = 0.05  # relative entropy: one class has it all, as in a hard label
OPPOSED = -0.5  # gradient cosine: half of each term's pull undoes the other's
MOST_ALPHA = 0.9  # weight of the soft term from which the teacher has the say anyway
CONTRADICTED = 0.05  # share of train labels the teacher denies beyond its own test error
OVERCONFIDENT = 0.03  # confidence on train views above the test accuracy
AT_CHANCE = 0.1  # of the way from guessing to always right, on its own train pictures
DOES_WELL = 0.5  # of that way, by whoever shows that the data can be learned
BARELY_TRAINED = 0.1  # test accuracy of a teacher below that of its student alone


@dataclass(frozen=True)
class Finding:
    """One cause that fits the figures, and the override to try."""

    rule: str
    says: str  # one plain sentence
    evidence: dict[str, float]
    try_: str
    fit: float  # how many times the threshold the figure is; 1 and more

    def document(self) -> dict[str, Any]:
        return {"rule": self.rule, "says": self.says, "evidence": self.evidence, "try": self.try_}


def diagnose(evidence: Evidence) -> list[Finding]:
    """The causes that fit, the best first. None for a student that keeps up."""
    if not evidence.is_behind:
        return []
    if broken := next(filter(None, (rule(evidence) for rule in OF_WHAT_BROKE)), None):
        return [broken]
    findings = [finding for rule in RULES if (finding := rule(evidence)) is not None]
    return sorted(findings, key=lambda finding: finding.fit, reverse=True)[:MOST_FINDINGS]


def soft_loss_drowns(evidence: Evidence) -> Finding | None:
    """Of as many epochs as the same student had without the loss it made less, and the teacher is not to blame.

    A loss that has a weight of its own has it from its authors, for their layers and pictures. Where one between
    logits ends at chance, the training broke down, whatever its weight.
    """
    lighter, baseline = evidence.remedies.lighter_loss, evidence.baseline_top1
    if lighter is None or baseline is None or not evidence.is_worse_than_baseline or _is_misled(evidence):
        return None
    if _has_collapsed(evidence) and evidence.unlearned is not None:
        return None
    return Finding(
        "soft_loss_drowns",
        f"The student is {100 * (baseline - evidence.student_top1):.2f} points worse than without a teacher: the "
        "soft loss drowns the hard one.",
        {"student_top1": evidence.student_top1, "baseline_top1": baseline},
        lighter,
        math.inf,
    )


def training_collapsed(evidence: Evidence) -> Finding | None:
    """It guesses on its own train pictures, and whoever taught it does not."""
    if not _has_collapsed(evidence):
        return None
    assert evidence.train_top1 is not None, "known of what has collapsed"
    return Finding(
        "training_collapsed",
        f"The student is right on only {evidence.train_top1:.1%} of the pictures it was trained on, little "
        "more than by chance: its training broke down.",
        {"train_top1": evidence.train_top1, "chance": evidence.chance},
        evidence.remedies.steadier_training,
        math.inf,
    )


def student_too_small(evidence: Evidence) -> Finding | None:
    """It cannot hold its own train pictures, and time does not help."""
    underfit, unlearned, fall = evidence.underfit, evidence.unlearned, evidence.fall
    if underfit is None or unlearned is None or fall is None or evidence.train_top1 is None:
        return None
    if underfit < UNDERFIT or unlearned < UNLEARNED or fall >= STILL_FALLING:
        return None
    return Finding(
        "student_too_small",
        f"The student is right on only {evidence.train_top1:.1%} of the pictures it was trained on, and its loss "
        "had nearly stopped falling: it is too small for what it is taught.",
        {"train_top1": evidence.train_top1, "teacher_top1": evidence.teacher_top1, "fall": fall},
        evidence.remedies.larger_student,
        underfit / UNDERFIT,
    )


def too_few_epochs(evidence: Evidence) -> Finding | None:
    """There is more to learn from the soft labels, and time brings it.

    Where they are flat or bare, what is not learned measures the temperature and not the time.
    """
    unlearned, fall = evidence.unlearned, evidence.fall
    if unlearned is None or fall is None or _is_flat(evidence) or _is_bare(evidence):
        return None
    if fall < STILL_FALLING or unlearned * fall < ANOTHER_DOUBLING:
        return None
    begin, end = compared_epochs(evidence.epochs)
    missing = "it is still further from the soft labels than equal probabilities are"
    if unlearned < 1:
        missing = f"{unlearned:.1%} of what the soft labels say is not learned yet"
    return Finding(
        "too_few_epochs",
        f"From epoch {begin} to epoch {end} of {evidence.epochs} the student's loss still fell by {fall:.0%}, and "
        f"{missing}: the training is too short.",
        {"fall": fall, "unlearned": unlearned},
        evidence.remedies.longer_training,
        unlearned * fall / ANOTHER_DOUBLING,
    )


def temperature_too_high(evidence: Evidence) -> Finding | None:
    """At every temperature of the schedule the soft labels are nearly uniform, and at T = 1 they are not."""
    entropy, unlearned = evidence.coldest_entropy, evidence.unlearned
    if entropy is None or unlearned is None or not _is_flat(evidence) or unlearned < UNLEARNED:
        return None
    return Finding(
        "temperature_too_high",
        f"At this temperature the soft labels have {entropy:.1%} of the entropy of equal probabilities: the "
        "student spends itself on differences between classes that are all but ruled out.",
        {"soft_label_entropy": entropy, "unlearned": unlearned},
        evidence.remedies.temperature,
        (1 - FLAT_SOFT_LABELS) / max(1 - entropy, 1e-9),
    )


def temperature_too_low(evidence: Evidence) -> Finding | None:
    """At every temperature of the schedule the soft labels say no more than hard ones.

    Where the teacher knows the train part by heart, that is the cause, and the temperature a part of its remedy.
    """
    entropy = evidence.hottest_entropy
    if entropy is None or not _is_bare(evidence) or _overconfidence(evidence) >= OVERCONFIDENT:
        return None
    return Finding(
        "temperature_too_low",
        f"At this temperature the soft labels have {entropy:.1%} of the entropy of equal probabilities: they say "
        "little more than hard labels do.",
        {"soft_label_entropy": entropy},
        evidence.remedies.temperature,
        BARE_SOFT_LABELS / max(entropy, 1e-9),
    )


def terms_at_odds(evidence: Evidence) -> Finding | None:
    """The labels pull away from where the teacher pulls to.

    The cosine alone says nothing: where training has converged, the two terms balance, and it is near -1 however
    small their quarrel. So the teacher must also deny more train labels than its own test error explains.
    """
    cosine, agreement = evidence.gradient_cosine, evidence.label_agreement
    alpha, who, theirs = evidence.alpha, evidence.taught_by, evidence.labels_top1
    if cosine is None or agreement is None or alpha is None or not 0 < alpha < MOST_ALPHA or cosine > OPPOSED:
        return None
    denied = (1 - agreement) - (1 - theirs)
    if denied < CONTRADICTED:
        return None
    return Finding(
        "terms_at_odds",
        f"{who} denies {1 - agreement:.0%} of the train labels but errs on {1 - theirs:.0%} "
        f"of the test set, and the gradients of the two terms oppose each other (cosine {cosine:.2f}): hard and "
        "soft loss fight.",
        {"gradient_cosine": cosine, "label_agreement": agreement, "alpha": alpha},
        evidence.remedies.more_alpha,
        denied / CONTRADICTED,
    )


def teacher_barely_better(evidence: Evidence) -> Finding | None:
    """There is little to learn from a teacher that the same student reaches without it."""
    baseline, agreement = evidence.baseline_top1, evidence.baseline_agreement
    if baseline is None or agreement is None:
        return None
    lead, noise = evidence.teacher_top1 - baseline, noise_of(agreement, evidence.test_samples)
    if lead > noise:
        return None
    little = (
        f"The teacher's lead over the student trained without it, {100 * lead:+.2f} points, does not exceed the "
        f"noise of ±{100 * noise:.2f}: there is little to learn from it."
    )
    worse = f"The teacher is worse than the student trained without it, by {-100 * lead:.2f} points."
    is_unfinished = lead < -max(noise, BARELY_TRAINED)
    return Finding(
        "teacher_barely_better",
        worse if lead < -noise else little,
        {"teacher_top1": evidence.teacher_top1, "baseline_top1": baseline, "noise": noise},
        (evidence.remedies.longer_teacher if is_unfinished else None) or evidence.remedies.better_teacher,
        noise / lead if lead > 0 else math.inf,
    )


def teacher_overconfident(evidence: Evidence) -> Finding | None:
    """It knows the pictures it labels by heart: sure of them all, and not as good on others."""
    confidence, entropy = evidence.teacher_confidence, evidence.entropy
    excess, theirs = _overconfidence(evidence), evidence.labels_top1
    if confidence is None or entropy is None or entropy > BARE_SOFT_LABELS or excess < OVERCONFIDENT:
        return None
    return Finding(
        "teacher_overconfident",
        f"{evidence.taught_by} is {confidence:.1%} sure of its labels on the train views but right on "
        f"{theirs:.1%} of the test set: it knows them by heart, and its soft labels say little.",
        {"teacher_confidence": confidence, "teacher_top1": theirs, "entropy": entropy},
        evidence.remedies.telling_views,
        excess / OVERCONFIDENT,
    )


Rule = Callable[[Evidence], Finding | None]
OF_WHAT_BROKE: tuple[Rule, ...] = (soft_loss_drowns, training_collapsed)  # other figures of it mean nothing
RULES: tuple[Rule, ...] = (
    teacher_barely_better,
    terms_at_odds,
    teacher_overconfident,
    temperature_too_low,
    temperature_too_high,
    too_few_epochs,
    student_too_small,
)


def _has_collapsed(evidence: Evidence) -> bool:
    """It guesses, on pictures that its teacher, and the same student alone, can tell apart."""
    others = [evidence.labels_top1, *([] if evidence.baseline_top1 is None else [evidence.baseline_top1])]
    can_be_learned = all(evidence.above_chance(top1) >= DOES_WELL for top1 in others)
    return (
        can_be_learned
        and evidence.train_top1 is not None
        and evidence.above_chance(evidence.train_top1) < AT_CHANCE
    )


def _is_misled(evidence: Evidence) -> bool:
    """By a teacher that is worse than the same student without it, by more than noise."""
    baseline, agreement = evidence.baseline_top1, evidence.baseline_agreement
    if baseline is None or agreement is None:
        return False
    return baseline - evidence.labels_top1 > noise_of(agreement, evidence.test_samples)


def _is_flat(evidence: Evidence) -> bool:
    """At every temperature of the schedule, and not because the teacher is unsure at T = 1 already."""
    coldest, entropy = evidence.coldest_entropy, evidence.entropy
    return coldest is not None and entropy is not None and entropy < FLAT_SOFT_LABELS <= coldest


def _is_bare(evidence: Evidence) -> bool:
    """At every temperature of the schedule."""
    return evidence.hottest_entropy is not None and evidence.hottest_entropy <= BARE_SOFT_LABELS


def _overconfidence(evidence: Evidence) -> float:
    """Confidence on train views above the test accuracy; 0 where it is not known."""
    confidence = evidence.teacher_confidence
    return 0.0 if confidence is None else confidence - evidence.labels_top1
