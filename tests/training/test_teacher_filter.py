"""Soft labels that are dropped or count less: row by row against a formula, and whatever losses look at."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from distill_cli.config.targets import instantiate
from distill_cli.data.batch import Batch
from distill_cli.errors import ConfigError
from distill_cli.losses.dist import Dist
from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.mlkd import MultiLevel
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.rkd import RelationalKnowledgeDistillation
from distill_cli.losses.tail import Tail
from distill_cli.losses.top import TopLogits
from distill_cli.progress import Progress
from distill_cli.schedules import Constant
from distill_cli.training.objectives import CrossEntropy, Distillation
from distill_cli.training.teacher_filter import TeacherFilter
from distill_cli.training.terms import Term

ROWS, CLASSES, T = 8, 5, 3.0
STUDENT = torch.randn(ROWS, CLASSES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
# What the teacher says: its top class is that of the row's number modulo 5, and the surer the later the row.
TOP = torch.arange(ROWS) % CLASSES
TEACHER = (
    torch.eye(CLASSES, dtype=torch.float64)[TOP] * torch.linspace(0.5, 6, ROWS, dtype=torch.float64)[:, None]
)
LABELS = torch.tensor([0, 1, 4, 3, -1, 1, 1, 2])  # wrong in rows 2 and 5; row 4 has none
RIGHT = [0, 1, 3, 4, 6, 7]
DROP, HALF = TeacherFilter(), TeacherFilter(weight=0.5)
KD = Term("kd", KnowledgeDistillation())


def batch(**more) -> Batch:
    index = torch.arange(ROWS)
    return Batch(torch.zeros(ROWS, 1, 2, 2), LABELS, index, torch.zeros_like(index), **more)


def filtered(chosen: TeacherFilter, term: Term = KD, student=None, teacher=None, temperature=T, views=1):
    """The loss of a term, and the rows that were kept."""
    student = Outputs(STUDENT) if student is None else student
    teacher = Outputs(TEACHER) if teacher is None else teacher
    kept = chosen.kept(teacher, batch(), views)
    return chosen.loss(term, kept, student, teacher, LABELS, temperature, batch().inputs), kept.tolist()


def kl_of_rows(student: torch.Tensor, temperature=T) -> torch.Tensor:
    q, p = (TEACHER / temperature).softmax(1), (student / temperature).softmax(1)
    return temperature**2 * (q * (q / p).log()).sum(1)


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5])
def test_a_row_whose_teacher_is_wrong_counts_its_weight_and_any_other_row_1(weight):
    student = STUDENT.clone().requires_grad_()
    loss, kept = filtered(TeacherFilter(weight), student=Outputs(student))
    (gradient,) = torch.autograd.grad(loss, student)
    of_row = torch.tensor([1.0 if row in RIGHT else weight for row in range(ROWS)])
    expected = sum(of_row[row] * kl_of_rows(student)[row] for row in range(ROWS)) / ROWS
    assert kept == RIGHT
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, student)[0], rtol=1e-10, atol=1e-14)


def test_it_is_unsure_below_the_least_confidence_at_temperature_1():
    confidence = TEACHER.softmax(1).amax(1)
    least = confidence[3:5].mean().item()  # between rows 3 and 4
    _, kept = filtered(TeacherFilter(least_confidence=least))
    assert kept == [4, 6, 7]
    assert filtered(TeacherFilter(least_confidence=0.0))[1] == RIGHT


@pytest.mark.parametrize("k", [1, 3, CLASSES])
def test_a_teacher_of_whom_only_the_largest_logits_are_kept_is_judged_the_same(k):
    ordered, index = (TEACHER - TEACHER.amax(1, keepdim=True)).sort(dim=1, descending=True)
    tail = Tail.of(ordered[:, k:]) if k < CLASSES else None
    top = Outputs(None, TopLogits(index[:, :k], ordered[:, :k], tail))
    for least in TEACHER.softmax(1).amax(1).unfold(0, 2, 1).mean(1).tolist():  # between any two rows
        judge = TeacherFilter(least_confidence=least)
        assert filtered(judge, teacher=top)[1] == filtered(judge)[1]
    of_kept = KD.loss(Outputs(STUDENT[RIGHT]), top.take(torch.tensor(RIGHT)), LABELS[RIGHT], T)
    torch.testing.assert_close(filtered(DROP, teacher=top)[0], of_kept * len(RIGHT) / ROWS)


def test_of_a_mixed_view_either_label_will_do_as_far_as_its_sample_is_there():
    labels = torch.tensor([0, 1, 4, 3, -1, 1, 1, 3])  # of which the teacher names that of rows 0, 1, 3 and 6
    partners = torch.tensor([1, 0, 2, 0, 0, -1, 3, 4])  # and that of row 2; row 5 has none
    share = torch.tensor([0.0, 0.4, 0.4, 1.0, 0.0, 0.7, 0.5, 0.2])  # rows 0 and 4 show the partner alone
    mixed = replace(batch(partner_labels=partners, share=share), labels=labels)
    assert DROP.kept(Outputs(TEACHER), mixed).tolist() == [1, 2, 3, 5, 6]


def test_where_there_is_no_label_the_teacher_is_never_wrong():
    unlabelled = replace(batch(), labels=torch.full((ROWS,), -1))
    assert DROP.kept(Outputs(TEACHER), unlabelled).tolist() == list(range(ROWS))


@pytest.mark.parametrize("chosen", [DROP, HALF])
def test_with_every_row_kept_it_is_the_loss_itself(chosen):
    everyone = torch.arange(ROWS)
    plain = KD.loss(Outputs(STUDENT), Outputs(TEACHER), LABELS, T)
    loss = chosen.loss(KD, everyone, Outputs(STUDENT), Outputs(TEACHER), LABELS, T, batch().inputs)
    assert torch.equal(loss, plain)


def test_with_no_row_kept_it_is_zero_with_a_graph():
    student = STUDENT.clone().requires_grad_()
    nobody = torch.empty(0, dtype=torch.long)
    loss = DROP.loss(KD, nobody, Outputs(student), Outputs(TEACHER), LABELS, T, batch().inputs)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss == 0 and not gradient.any()
    halved = HALF.loss(KD, nobody, Outputs(student), Outputs(TEACHER), LABELS, T, batch().inputs)
    torch.testing.assert_close(halved, 0.5 * kl_of_rows(student).mean())


def test_a_loss_that_compares_the_rows_of_a_batch_sees_the_batch_without_the_others():
    loss, _ = filtered(DROP, Term("dist", Dist()))
    alone = Dist()(Outputs(STUDENT[RIGHT]), Outputs(TEACHER[RIGHT]), LABELS[RIGHT], T)
    torch.testing.assert_close(loss, alone * len(RIGHT) / ROWS)


def test_embeddings_features_and_numbers_of_the_samples_go_with_their_rows():
    def outputs(logits, seed):
        generator = torch.Generator().manual_seed(seed)
        embedding = torch.randn(ROWS, 7, generator=generator, dtype=torch.float64)
        maps = torch.randn(ROWS, 2, 3, 3, generator=generator, dtype=torch.float64)
        return Outputs(logits, embedding=embedding, features=(maps,), index=torch.arange(ROWS))

    seen = []

    def looking(student, teacher, labels, temperature):
        seen.append((student, teacher, labels))
        return RelationalKnowledgeDistillation()(student, teacher, labels, temperature)

    student, teacher = outputs(STUDENT, 1), outputs(TEACHER, 2)
    loss, _ = filtered(DROP, Term("rkd", looking, features=(0,)), student, teacher)
    ((of_student, of_teacher, labels),) = seen
    assert of_student.index.tolist() == RIGHT and torch.equal(labels, LABELS[RIGHT])
    assert torch.equal(of_teacher.features[0], teacher.features[0][RIGHT])
    alone = RelationalKnowledgeDistillation()(student.take(torch.tensor(RIGHT)), of_teacher, labels, T)
    torch.testing.assert_close(loss, alone * len(RIGHT) / ROWS)


def test_a_temperature_for_each_sample_goes_with_its_row():
    temperature = torch.linspace(1, 8, ROWS, dtype=torch.float64)[:, None]
    loss, _ = filtered(DROP, temperature=temperature)
    expected = sum(kl_of_rows(STUDENT, temperature[row].item())[row] for row in RIGHT) / ROWS
    torch.testing.assert_close(loss, expected)
    whole = torch.tensor(T, dtype=torch.float64)
    torch.testing.assert_close(filtered(DROP, temperature=whole)[0], filtered(DROP)[0])


def test_two_views_of_a_sample_stay_together():
    _, kept = filtered(DROP, views=2)
    assert kept == [0, 1, 6, 7]  # rows 2 and 5 are wrong
    pairs = Outputs(STUDENT, index=torch.arange(ROWS) // 2)
    loss, _ = filtered(DROP, Term("mlkd", MultiLevel()), student=pairs, views=2)
    rest = torch.tensor(kept)
    alone = MultiLevel()(pairs.take(rest), Outputs(TEACHER[rest]), LABELS[rest], T)
    torch.testing.assert_close(loss, alone / 2)


def objective(chosen: TeacherFilter | None, *terms: Term) -> Distillation:
    teacher = lambda asked: Outputs(TEACHER)  # noqa: E731
    return Distillation(
        CrossEntropy(), terms or (KD,), teacher, Constant(T), Constant(0.5), teacher_filter=chosen
    )


def test_the_hard_loss_is_that_of_all_rows_and_the_log_says_how_many_were_kept():
    _, plain = objective(None)(Outputs(STUDENT), batch(), Progress(0, 10, 5))
    loss, logs = objective(DROP)(Outputs(STUDENT), batch(), Progress(0, 10, 5))
    assert logs["hard"] == plain["hard"] and "kept" not in plain
    assert logs["kept"] == len(RIGHT) / ROWS
    soft = kl_of_rows(STUDENT)[RIGHT].sum() / ROWS
    torch.testing.assert_close(loss, 0.5 * plain["hard"] + 0.5 * soft)


def test_what_does_not_listen_to_the_teacher_is_not_filtered():
    class Former:
        def __call__(self, inputs):
            return Outputs(TEACHER.flip(0))

    memory = Term("previous", KnowledgeDistillation(), previous=Former(), is_taught=False)
    _, logs = objective(DROP, KD, memory)(Outputs(STUDENT), batch(), Progress(0, 10, 5))
    _, plain = objective(None, KD, memory)(Outputs(STUDENT), batch(), Progress(0, 10, 5))
    assert logs["previous"] == plain["previous"] and logs["kd"] != plain["kd"]


def test_parts_of_a_batch_add_up_to_the_whole():
    whole, logs = objective(HALF)(
        Outputs(STUDENT), replace(batch(), teacher=Outputs(TEACHER)), Progress(0, 10, 5)
    )
    cut = replace(batch(), teacher=Outputs(TEACHER))
    parts = [
        objective(HALF)(Outputs(STUDENT[rows]), cut.part(rows.start, rows.stop), Progress(0, 10, 5))
        for rows in (slice(0, 4), slice(4, 8))
    ]
    torch.testing.assert_close(sum(loss for loss, _ in parts) / 2, whole)
    torch.testing.assert_close(sum(found["kept"] for _, found in parts) / 2, logs["kept"])


@pytest.mark.parametrize(("field", "value"), [("weight", 1.0), ("weight", -0.1), ("least_confidence", 1.5)])
def test_impossible_values_are_refused_in_one_line(field, value):
    with pytest.raises(ConfigError, match=f"{field}={value} must be in"):
        instantiate({"_target_": "distill_cli.training.teacher_filter.TeacherFilter", field: value})


def test_gradients_reach_a_students_weights_through_the_rows_that_are_kept():
    student = nn.Linear(CLASSES, CLASSES).double()
    loss, _ = filtered(DROP, student=Outputs(student(STUDENT)))
    loss.backward()
    expected = torch.autograd.grad(kl_of_rows(student(STUDENT))[RIGHT].sum() / ROWS, student.weight)[0]
    torch.testing.assert_close(student.weight.grad, expected)


class Keeping(nn.Module):
    """A loss whose statistics move with each call."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(CLASSES)

    def forward(self, student, teacher, labels, temperature):
        return self.norm(student.logits).mean()


def test_a_loss_that_keeps_something_of_each_step_is_not_called_twice():
    keeping = Term("keeping", Keeping())
    with pytest.raises(
        ConfigError, match=r"weight=0\.5 calls loss=keeping twice a step.*teacher_filter=drop$"
    ):
        HALF.check(keeping)
    DROP.check(keeping)
    HALF.check(KD)
    HALF.check(Term("linear", nn.Linear(2, 2)))
    HALF.check(replace(keeping, is_taught=False))
