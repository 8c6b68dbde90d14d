"""Losses that a newcomer might write, each with one mistake in it."""

from torch import nn


class Fails:
    def __call__(self, student, teacher, labels, temperature):
        return student.logits @ teacher.logits


class TakesTwo:
    def __call__(self, student, teacher):
        return (student.logits - teacher.logits).square().mean()


class OneForEachSample:
    def __call__(self, student, teacher, labels, temperature):
        return (student.logits - teacher.logits).square().mean(dim=1)


class Nothing:
    def __call__(self, student, teacher, labels, temperature):
        (student.logits - teacher.logits).square().mean()


class OfTheTeacher:
    def __call__(self, student, teacher, labels, temperature):
        return teacher.logits.square().mean()


class NeverFinite:
    def __call__(self, student, teacher, labels, temperature):
        return student.logits.sum() / 0


class FitsNothing(nn.Module):
    def fit(self, student, teacher, setting):
        self.connector = nn.Linear(student.features[5].shape[1], 1)

    def forward(self, student, teacher, labels, temperature):
        return student.logits.mean()
