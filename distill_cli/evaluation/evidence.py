"""The figures of a run in which a diagnosis looks for causes, and what to type against each of these. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z95 = 1.96  # standard errors on either side of a 95 % confidence interval


@dataclass(frozen=True)
class Remedies:
    """Overrides to type, one for each cause. They follow from the config, whether the cause fits or not."""

    larger_student: str
    longer_training: str
    better_teacher: str
    more_alpha: str
    temperature: str
    telling_views: str  # on which an overconfident teacher says more
    longer_teacher: str | None  # None: it trained no shorter than its student, or elsewhere
    lighter_loss: str | None  # None: no loss has a weight of its own
    steadier_training: str


@dataclass(frozen=True)
class Evidence:
    """What the rules look at. Shares are fractions in [0, 1]; None: not known."""

    # of the report
    test_samples: int
    student_top1: float
    teacher_top1: float
    baseline_top1: float | None
    student_agreement: float  # share of test samples for which student and teacher name the same class
    baseline_agreement: float | None  # likewise, of the baseline
    # of the training
    alpha: (
        float | None
    )  # weight of the soft term, mean over the training; None: the losses have weights of their own
    epochs: int
    fall: float | None  # of the loss, as a share, between the `compared_epochs`
    # of a sample of the train part, as it is
    train_top1: float | None  # the student's, of labelled samples
    chance: float  # of a right guess among the classes
    # of the same samples, in a view that the student was trained on
    label_agreement: float | None  # share of the labels that are the teacher's top class
    teacher_confidence: float | None  # probability of the teacher's top class at T = 1, mean
    entropy: float | None  # of the soft labels at T = 1, mean, as a share of log(classes)
    coldest_entropy: float | None  # at the schedule's lowest temperature; None: the loss has none
    hottest_entropy: float | None  # at the highest
    unlearned: float | None  # KL from soft labels to student, as a share of that to equal probabilities
    gradient_cosine: float | None  # between the gradients of the hard and the soft loss at the final weights

    remedies: Remedies

    # of a chain, in which the soft labels are not the teacher's
    taught_by: str = "The teacher"
    taught_by_top1: float | None = None

    def document(self) -> dict[str, float | None]:
        """The figures. Who taught is in the report's chain."""
        chained = {"taught_by", "taught_by_top1"}
        return {name: value for name, value in vars(self).items() if name not in {"remedies", *chained}}

    @property
    def labels_top1(self) -> float:
        """Test accuracy of whoever gave the soft labels."""
        return self.teacher_top1 if self.taught_by_top1 is None else self.taught_by_top1

    @property
    def drop(self) -> float:
        """How far the student is below its teacher."""
        return self.teacher_top1 - self.student_top1

    @property
    def drop_noise(self) -> float:
        """Half the confidence interval of `drop`, at most.

        Only samples on which the two differ count (McNemar), and of these at most all say right against wrong.
        """
        return noise_of(self.student_agreement, self.test_samples)

    @property
    def is_behind(self) -> bool:
        """Below the teacher by more than noise, or without gain over the same student from labels alone."""
        without_gain = self.baseline_top1 is not None and self.student_top1 <= self.baseline_top1
        return self.drop > self.drop_noise or without_gain

    @property
    def is_worse_than_baseline(self) -> bool:
        """By more than noise: the two differ on no more samples than they differ from the teacher on."""
        if self.baseline_top1 is None or self.baseline_agreement is None:
            return False
        agreement = max(0.0, self.student_agreement + self.baseline_agreement - 1)
        return self.baseline_top1 - self.student_top1 > noise_of(agreement, self.test_samples)

    def above_chance(self, top1: float) -> float:
        """How much of the way from guessing to always right."""
        return (top1 - self.chance) / (1 - self.chance)

    @property
    def underfit(self) -> float | None:
        """How far the student's train accuracy is below the test accuracy of whoever taught it.

        Or below what that one reaches on the train labels, if that is less: wrong labels are no lack of units.
        """
        if self.train_top1 is None:
            return None
        reach = self.labels_top1 if self.label_agreement is None else self.label_agreement
        return min(self.labels_top1, reach) - self.train_top1


def compared_epochs(epochs: int) -> tuple[int, int]:
    """A quarter and half of them, rounded down; the first two of a run too short for that."""
    half = max(2, epochs // 2)
    return half // 2, half


def noise_of(agreement: float, samples: int) -> float:
    """Half the confidence interval of a difference in accuracy between models that agree this often, at most."""
    return Z95 * math.sqrt((1 - agreement) / max(1, samples))
