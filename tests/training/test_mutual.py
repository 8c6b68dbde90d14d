"""Students that learn from each other: their sum against a formula, their gradients, and their training."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from test_loop import StopAfter, network, run, trainer, weights
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector

from distill_cli.data.batch import Batch
from distill_cli.errors import Interrupted
from distill_cli.losses.kd import KnowledgeDistillation
from distill_cli.losses.learned_temperature import LearnedTemperature
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting
from distill_cli.models.peers import Peers, trained_together
from distill_cli.progress import Progress
from distill_cli.schedules import Constant, ConstantRate, Learned, Linear
from distill_cli.training.mutual import Mutual
from distill_cli.training.objectives import CrossEntropy, Distillation
from distill_cli.training.teacher_sources import NoTeacher
from distill_cli.training.terms import Term

SAMPLES, CLASSES = 6, 4
LABELS = torch.tensor([0, 3, 1, 2, 2, 0])
START = Progress(0, 10, 5)


def batch() -> Batch:
    index = torch.arange(SAMPLES)
    return Batch(torch.zeros(SAMPLES, 1, 2, 2), LABELS, index, torch.zeros_like(index), all_labelled=True)


def logits(students: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(students, SAMPLES, CLASSES, generator=generator, dtype=torch.float64)


def lesson(alpha=0.3, temperature=2.0, weight=None, **more) -> Distillation:
    kd = Term("kd", KnowledgeDistillation(), weight)
    return Distillation(CrossEntropy(), (kd,), NoTeacher(), Constant(temperature), Constant(alpha), **more)


def mutual(students: int, **settings) -> Mutual:
    return Mutual(tuple(lesson(**settings) for _ in range(students)))


def by_hand(every: Sequence[torch.Tensor], alpha: float, temperature: float) -> torch.Tensor:
    """Student by student, peer by peer."""
    every, total = list(every), torch.zeros((), dtype=torch.float64)
    for own in every:
        hard = F.cross_entropy(own, LABELS)
        soft = []
        for peer in every:
            if peer is not own:
                q, p = (peer.detach() / temperature).softmax(1), (own / temperature).softmax(1)
                soft.append(temperature**2 * (q * (q / p).log()).sum(1).mean())
        total = total + (1 - alpha) * hard + alpha * sum(soft) / len(soft)
    return total


@pytest.mark.parametrize("students", [2, 3, 4])
@pytest.mark.parametrize(("alpha", "temperature"), [(0.5, 1.0), (0.9, 4.0), (0.0, 1.0)])
def test_the_loss_and_every_gradient_are_those_of_the_formula(students, alpha, temperature):
    stacked = logits(students).requires_grad_()
    loss, _ = mutual(students, alpha=alpha, temperature=temperature)(Outputs(stacked), batch(), START)
    (gradient,) = torch.autograd.grad(loss, stacked)
    each = [own.clone().requires_grad_() for own in logits(students)]
    expected = by_hand(each, alpha, temperature)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        gradient, torch.stack(torch.autograd.grad(expected, each)), rtol=1e-10, atol=1e-14
    )


def test_with_weight_1_at_temperature_1_it_is_the_published_loss():
    first, second = logits(2)
    loss, _ = mutual(2, temperature=1.0, weight=1.0)(Outputs(logits(2)), batch(), START)
    kl = F.kl_div(first.log_softmax(1), second.softmax(1), reduction="batchmean") + F.kl_div(
        second.log_softmax(1), first.softmax(1), reduction="batchmean"
    )
    torch.testing.assert_close(loss, F.cross_entropy(first, LABELS) + F.cross_entropy(second, LABELS) + kl)


def test_students_who_say_the_same_have_nothing_to_learn_from_each_other():
    same = logits(1).repeat(3, 1, 1).requires_grad_()
    loss, logs = mutual(3, alpha=1.0)(Outputs(same), batch(), START)
    (gradient,) = torch.autograd.grad(loss, same)
    assert loss.abs() < 1e-12 and gradient.abs().max() < 1e-12
    assert set(logs) == {
        "hard", "soft", "peer_1_hard", "peer_1_soft", "peer_2_hard", "peer_2_soft"
    }  # fmt: skip


def test_the_order_of_the_peers_does_not_matter_to_the_sum():
    one, _ = mutual(3)(Outputs(logits(3)), batch(), START)
    other, _ = mutual(3)(Outputs(logits(3)[[2, 0, 1]]), batch(), START)
    torch.testing.assert_close(one, other)


def test_logs_are_the_students_own_and_means_over_its_peers():
    _, logs = mutual(3, alpha=1.0, temperature=1.0)(Outputs(logits(3)), batch(), START)
    first, second, third = logits(3)
    kl = [F.kl_div(second.log_softmax(1), q.softmax(1), reduction="batchmean") for q in (first, third)]
    torch.testing.assert_close(logs["peer_1_soft"], sum(kl) / 2)
    torch.testing.assert_close(logs["hard"], F.cross_entropy(first, LABELS))


def test_alpha_moves_with_progress_for_all():
    moving = Mutual(tuple(replace(lesson(), alpha=Linear(0.0, 1.0)) for _ in range(2)))
    end, _ = moving(Outputs(logits(2)), batch(), Progress(10, 10, 5))
    torch.testing.assert_close(end, by_hand(logits(2), 1.0, 2.0))


def test_each_student_learns_a_temperature_of_its_own():
    schedule = Learned(start=3.0)
    lessons = []
    for _ in range(2):
        learned = LearnedTemperature(schedule)
        two = Outputs(torch.zeros(2, CLASSES))
        learned.fit(two, two, Setting(LABELS, CLASSES))
        lessons.append(replace(lesson(), temperature=schedule, learned=learned))
    objective = Mutual(tuple(lessons))
    loss, _ = objective(Outputs(logits(2).requires_grad_()), batch(), Progress(5, 10, 1))
    loss.backward()
    gradients = [parameter.grad for parameter in objective.parts.parameters()]
    assert len(gradients) == 2 and gradients[0] != gradients[1] != 0


def test_all_answer_in_train_mode_and_the_student_alone_in_eval_mode():
    members = [nn.Sequential(nn.Flatten(), nn.Linear(4, CLASSES)) for _ in range(3)]
    together, pictures = Peers(members), torch.randn(5, 1, 2, 2)
    assert torch.equal(together.train()(pictures), torch.stack([member(pictures) for member in members]))
    assert torch.equal(together.eval()(pictures), members[0](pictures))
    assert trained_together(together) == members and trained_together(members[0]) == [members[0]]


def two(tmp_path, **changes):
    """A trainer of two students."""
    torch.manual_seed(5)
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3))
    tmp_path.mkdir(exist_ok=True)
    worker = trainer(tmp_path, model=Peers([network(), other]), **changes)
    worker.run = replace(worker.run, objective=mutual(2, alpha=0.5))
    return worker


def test_both_train_and_what_is_validated_is_the_student(tmp_path):
    worker = two(tmp_path, epochs=20)
    before = [weights(member) for member in worker.model.members]
    seen = []
    worker.run = replace(worker.run, validate=lambda model: seen.append(model(torch.zeros(2, 1, 6, 6))) or {})
    kept = run(worker)
    assert all(not torch.equal(b, weights(m)) for b, m in zip(before, kept.members, strict=True))
    last = worker.history[-1]
    assert last["hard"] < 0.7 * worker.history[0]["hard"]
    assert last["peer_1_hard"] < 0.7 * worker.history[0]["peer_1_hard"]
    assert torch.equal(seen[-1], kept.members[0](torch.zeros(2, 1, 6, 6)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("steps", [3, 4, 9])
def test_a_run_stopped_at_any_step_ends_with_the_same_bits_of_both(tmp_path, steps, precision):
    settings = {"ema": 0.9, "clip_norm": 0.5, "precision": precision}
    whole = two(tmp_path / "whole", **settings)
    expected = weights(run(whole))
    with pytest.raises(Interrupted):
        run(two(tmp_path / "cut", **settings), StopAfter(steps))
    torch.manual_seed(99)
    resumed = two(tmp_path / "cut", **settings)
    assert resumed.resume() and resumed.step == steps
    assert torch.equal(weights(run(resumed)), expected)
    assert whole.history == resumed.history


def test_each_student_is_clipped_by_itself(tmp_path):
    def learned(student):
        return parameters_to_vector(student.parameters()).detach()

    sgd = {"_target_": "torch.optim.SGD", "lr": 1.0}
    one_step = {"epochs": 1, "batch_size": 50, "optimizer": sgd, "schedule": ConstantRate()}
    worker = two(tmp_path, clip_norm=0.01, **one_step)
    before = [learned(member) for member in worker.model.members]
    after = [learned(member) for member in run(worker).members]
    for first, last in zip(before, after, strict=True):
        assert (last - first).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_parts_of_a_batch_add_up_to_its_gradient(tmp_path):
    def plain():
        torch.manual_seed(1)
        return Peers([nn.Sequential(nn.Flatten(), nn.Linear(36, 3)) for _ in range(2)])

    found = [
        weights(run(trainer(tmp_path, model=plain(), objective=mutual(2), accumulation=parts)))
        for parts in (1, 4)
    ]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)
