"""What follows from answers, against slow loops over the samples."""

from collections import Counter

import numpy as np
import pytest
import torch
from toy import ROLES, answers, random_answers, three

from distill_cli.evaluation.answers import only_one_is_right
from distill_cli.evaluation.confusion import MOST_CLASSES, differences, matrices
from distill_cli.evaluation.disagreements import disagreements, shown
from distill_cli.evaluation.metrics import Predictions, scores
from distill_cli.evaluation.per_class import most_changed, per_class
from distill_cli.evaluation.reliability import calibration_error, reliability
from distill_cli.evaluation.sections import paired, sections, trust

CLASSES = tuple("abcde")


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_a_bin_holds_the_samples_of_its_confidence_and_no_others(bins):
    found = random_answers(3)
    expected = []
    for number in range(bins):
        inside = [
            (c, r)
            for c, r in zip(found.confidence, found.right, strict=True)
            if number / bins < c <= (number + 1) / bins
        ]
        if inside:
            sure, right = (sum(column) / len(inside) for column in zip(*inside, strict=True))
            expected.append({"confidence": sure, "accuracy": right, "count": len(inside)})
    made = reliability(found.confidence, found.right, bins)
    assert [one["count"] for one in made] == [one["count"] for one in expected]
    for one, other in zip(made, expected, strict=True):
        assert one == pytest.approx(other)
    apart = sum(one["count"] * abs(one["accuracy"] - one["confidence"]) for one in expected)
    assert calibration_error(made) == pytest.approx(apart / len(found))


def test_no_samples_have_no_bins_and_no_calibration_error():
    assert reliability(np.empty(0), np.empty(0, bool), 10) == []
    assert np.isnan(calibration_error([]))


def test_the_accuracy_of_a_class_is_that_of_its_own_samples():
    found = three()
    for number, one in enumerate(per_class(found, CLASSES)):
        own = [i for i, label in enumerate(found["student"].labels) if label == number]
        assert one["class"] == CLASSES[number] and one["samples"] == len(own)
        for role in ROLES:
            assert one[role] == pytest.approx(sum(found[role].predicted[i] == number for i in own) / len(own))


def test_a_class_without_samples_and_a_model_that_is_not_there_have_no_accuracy():
    one = answers([0, 0], [0, 1])
    assert per_class({"teacher": one, "student": one, "baseline": None}, ("a", "b")) == [
        {"class": "a", "samples": 2, "teacher": 0.5, "student": 0.5, "baseline": None},
        {"class": "b", "samples": 0, "teacher": None, "student": None, "baseline": None},
    ]


def test_the_classes_that_changed_most_go_from_lost_to_gained_and_unknown_ones_are_left_out():
    changes = {"a": 0.1, "b": -0.4, "c": 0.0, "d": 0.3, "e": -0.1}
    found = [{"class": n, "samples": 5, "teacher": 0.5, "student": 0.5 + by} for n, by in changes.items()]
    found.append({"class": "f", "samples": 0, "teacher": None, "student": None})
    assert [one["class"] for one in most_changed(found, 3)] == ["b", "e", "d"]
    assert [one["class"] for one in most_changed(found, 99)] == ["b", "e", "c", "a", "d"]


def test_confusions_are_counted_for_both_and_the_largest_difference_comes_first():
    found = three()
    counted = {
        role: Counter(
            (t, p) for t, p in zip(found[role].labels, found[role].predicted, strict=True) if t != p
        )
        for role in ("teacher", "student")
    }
    listed = differences(found["teacher"], found["student"], CLASSES, most=999)
    everything = {pair for one in counted.values() for pair in one}
    changed = [pair for pair in everything if counted["teacher"][pair] != counted["student"][pair]]
    assert len(listed) == len(changed) > 5
    for one in listed:
        pair = CLASSES.index(one["true"]), CLASSES.index(one["predicted"])
        assert [one["teacher"], one["student"]] == [counted[role][pair] for role in ("teacher", "student")]
    sizes = [abs(one["student"] - one["teacher"]) for one in listed]
    assert sizes == sorted(sizes, reverse=True)
    assert differences(found["teacher"], found["student"], CLASSES, most=3) == listed[:3]


def test_matrices_have_every_sample_and_only_where_a_page_has_room_for_them():
    found = {"student": three()["student"]}
    made = np.array(matrices(found, 5)["student"])
    expected = np.zeros((5, 5), int)
    for true, named in zip(found["student"].labels, found["student"].predicted, strict=True):
        expected[true, named] += 1
    np.testing.assert_array_equal(made, expected)
    assert matrices(found, MOST_CLASSES + 1) is None


def test_ten_thousand_classes_cost_no_table_of_their_square():
    labels = np.arange(10_000)
    teacher, student = answers(labels, labels), answers(labels, np.roll(labels, 1))
    names = [f"class {i}" for i in labels]
    assert len(differences(teacher, student, names)) == 20


def test_of_each_kind_of_disagreement_the_surest_mistakes_come_first():
    labels = [0, 1, 2, 3, 4, 0]
    teacher = answers(labels, [1, 2, 3, 3, 4, 0], [0.5, 0.9, 0.7, 0.8, 0.6, 1.0])
    student = answers(labels, [0, 1, 2, 0, 1, 0], [0.3, 0.4, 0.5, 0.6, 0.9, 1.0])
    found = disagreements(teacher, student, CLASSES, most=2)
    assert [one["index"] for one in found["student_right"]] == [1, 2]  # where the teacher is surest
    assert [one["index"] for one in found["teacher_right"]] == [4, 3]  # where the student is
    assert found["counts"] == {"student_right": 3, "teacher_right": 2, "both_right": 1, "both_wrong": 0}
    sample = {"index": 1, "true": "b", "student": "b", "teacher": "c"}
    assert found["student_right"][0] == {**sample, "student_confidence": 0.4, "teacher_confidence": 0.9}
    assert shown(found) == [1, 2, 4, 3]


def test_a_perfect_student_of_a_perfect_teacher_disagrees_nowhere():
    one = answers([0, 1], [0, 1])
    found = disagreements(one, one, CLASSES, most=5)
    assert shown(found) == [] and found["counts"]["both_right"] == 2
    assert differences(one, one, CLASSES) == []


def test_without_pictures_disagreements_are_still_counted():
    found = three()
    counts = disagreements(found["teacher"], found["student"], CLASSES, most=0)
    assert counts["student_right"] == counts["teacher_right"] == []
    assert sum(counts["counts"].values()) == 300


def test_student_and_baseline_are_compared_sample_by_sample():
    student, baseline = three()["student"], three()["baseline"]
    ours = sum(s and not b for s, b in zip(student.right, baseline.right, strict=True))
    theirs = sum(b and not s for s, b in zip(student.right, baseline.right, strict=True))
    assert only_one_is_right(student, baseline) == (ours, theirs)
    found = paired(student, baseline)
    assert (found["student_only"], found["baseline_only"]) == (ours, theirs) and 0 < found["p"] <= 1
    assert paired(student, None) is None


def test_samples_without_a_label_count_nowhere():
    logits = torch.tensor([[2.0, 0.0], [0.0, 3.0], [4.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    all_of_them = Predictions(logits, torch.tensor([0, -1, 1, 1]))
    known = [0, 2, 3]
    those_known = Predictions(logits[known], all_of_them.labels[known])
    assert scores(all_of_them, 10) == scores(those_known, 10)
    assert all_of_them.answers.index.tolist() == known
    assert trust(all_of_them.answers)["samples"] == 3


@pytest.mark.parametrize("baseline", [True, False])
def test_one_class_and_no_baseline_still_make_all_sections(baseline):
    one = answers([0, 0, 0], [0, 0, 0])
    found = {"teacher": one, "student": one, "baseline": one if baseline else None}
    made = sections(found, ("only",), ece_bins=5, pictures=3)
    assert made["per_class"][0]["student"] == 1 and made["confusion_counts"]["student"] == [[3]]
    assert bool(made["calibration"]["baseline"]) == baseline
