"""CRD against its formula sample by sample, its memory, its draw, and how it goes on after a stop."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from distill_cli.errors import ConfigError
from distill_cli.losses.crd import ContrastiveDistillation
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.setting import Setting

SAMPLES, WIDTHS = 30, (3, 5)
LABELS = torch.arange(SAMPLES) % 3


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def batch(index, seed=0):
    """Embeddings of some samples by a student and a teacher, float64."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (
        torch.randn(SAMPLES, w, generator=generator, dtype=torch.float64)[index] for w in WIDTHS
    )
    return Outputs(None, embedding=student, index=index), Outputs(None, embedding=teacher)


def fitted(labels=LABELS, views=1, mixes=False, **arguments):
    loss = ContrastiveDistillation(**{"width": 4, **arguments})
    student, teacher = batch(torch.tensor([0, 1]))
    loss.fit(student, teacher, Setting(labels, 3, views=views, mixes=mixes))
    return loss.double()


def value_of(loss, student, teacher):
    return loss(student, teacher, None, 4.0)


def by_hand(loss, student, teacher, labels, scale=None):
    """From the paper, over all samples of other classes; with the scale of both directions."""
    embed = [
        F.normalize(layer(outputs.embedding))
        for layer, outputs in ((loss.embed_student, student), (loss.embed_teacher, teacher))
    ]
    total, scales = 0.0, []
    for direction, (anchors, memory) in enumerate(
        zip(embed, (loss.of_teacher, loss.of_student), strict=True)
    ):
        near, far = [], []
        for i, anchor in zip(student.index.tolist(), anchors, strict=True):
            others = [j for j in range(SAMPLES) if (labels[j] != labels[i] if labels[i] >= 0 else j != i)]
            near.append(torch.exp(anchor @ memory[i] / 0.07))
            each = torch.stack([torch.exp(anchor @ memory[j] / 0.07) for j in others])
            far.append(each)
        k = loss.negatives
        pairs = [n + k * f.mean() for n, f in zip(near, far, strict=True)]
        z = SAMPLES * sum(pairs) / (len(pairs) * (k + 1)) if scale is None else scale[direction]
        scales.append(z.item())
        for n, f in zip(near, far, strict=True):
            own = (n / z) / (n / z + k / SAMPLES)
            wrong = (f / z) / (f / z + k / SAMPLES)
            total = total - own.log() - k * (1 - wrong).log().mean()
    return total / len(student.index), scales


HALF_KNOWN = torch.where(torch.arange(SAMPLES) % 2 == 0, LABELS, -1)
UNKNOWN = torch.full((SAMPLES,), -1)


@pytest.mark.parametrize("labels", [LABELS, HALF_KNOWN, UNKNOWN], ids=["all", "half", "none"])
def test_it_is_the_papers_formula_over_all_other_classes_where_all_are_drawn(labels):
    loss, (student, teacher) = fitted(labels), batch(torch.tensor([4, 7, 20, 21]))
    assert loss.drawn == SAMPLES
    expected, scales = by_hand(loss, student, teacher, labels)
    assert value_of(loss, student, teacher).item() == pytest.approx(expected.item(), rel=1e-10)
    assert loss.scale.tolist() == pytest.approx(scales, rel=1e-10)


def test_the_scale_is_that_of_the_first_batch():
    loss = fitted()
    value_of(loss, *batch(torch.tensor([4, 7, 20])))
    first = loss.scale.clone()
    student, teacher = batch(torch.tensor([1, 2]), seed=5)
    expected, _ = by_hand(loss, student, teacher, LABELS, scale=first)
    assert value_of(loss, student, teacher).item() == pytest.approx(expected.item(), rel=1e-10)
    assert torch.equal(loss.scale, first)


def test_what_is_remembered_of_a_sample_moves_half_way_and_others_stay():
    loss, (student, teacher) = fitted(), batch(torch.tensor([4, 7]))
    before = loss.of_student.clone(), loss.of_teacher.clone()
    value_of(loss, student, teacher)
    for memory, old, layer, outputs in [
        (loss.of_student, before[0], loss.embed_student, student),
        (loss.of_teacher, before[1], loss.embed_teacher, teacher),
    ]:
        moved = F.normalize((old[[4, 7]] + F.normalize(layer(outputs.embedding))) / 2)
        torch.testing.assert_close(memory[[4, 7]], moved)
        others = [i for i in range(SAMPLES) if i not in (4, 7)]
        assert torch.equal(memory[others], old[others])
        assert not memory.requires_grad


def test_of_two_views_of_a_sample_in_a_step_the_first_is_remembered():
    twice, once = fitted(views=2), fitted()
    once.load_state_dict(twice.state_dict())
    (student, teacher), index = batch(torch.arange(6)), torch.tensor([4, 4, 7, 7, 9, 9])
    student, first = replace(student, index=index), torch.tensor([0, 2, 4])
    value_of(twice, student, teacher)
    value_of(once, student.take(first), teacher.take(first))
    torch.testing.assert_close(twice.of_student, once.of_student)
    torch.testing.assert_close(twice.of_teacher, once.of_teacher)


def test_nothing_is_remembered_in_eval_mode():
    loss = fitted().eval()
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    value_of(loss, *batch(torch.tensor([4, 7])))
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())


def test_fewer_negatives_give_the_same_loss_and_gradient_on_average():
    """That of as many negatives as asked for, each drawn from the other classes."""
    loss, (student, teacher) = fitted(negatives=6).eval(), batch(torch.tensor([4, 7, 20, 21]))
    assert (loss.negatives, loss.drawn) == (6, 9)
    loss.scale.fill_(40.0)
    leaf = student.embedding.clone().requires_grad_()
    student = Outputs(None, embedding=leaf, index=student.index)
    expected, _ = by_hand(loss, student, teacher, LABELS, scale=loss.scale)
    (exact,) = torch.autograd.grad(expected, leaf)
    draws = [value_of(loss, student, teacher) for _ in range(1500)]
    values = torch.stack(draws)
    error = values.std().item() / math.sqrt(len(draws))
    assert abs(values.mean().item() - expected.item()) < 4 * error < 0.05 * expected.item()
    (gradient,) = torch.autograd.grad(values.mean(), leaf)
    torch.testing.assert_close(gradient, exact, rtol=0.1, atol=0.05 * exact.abs().max().item())


def test_there_are_no_more_negatives_than_samples_of_other_classes():
    assert fitted().negatives == 20
    assert fitted(torch.tensor([0] * 25 + [1] * 5)).negatives == 5
    assert fitted(negatives=7).negatives == 7


def test_few_of_many_are_drawn_without_a_permutation_of_all_with_the_same_loss_on_average(monkeypatch):
    monkeypatch.setattr(torch, "randperm", None)
    loss, (student, teacher) = fitted(UNKNOWN, negatives=2).eval(), batch(torch.tensor([4, 7, 20, 21]))
    loss.scale.fill_(40.0)
    assert (loss.negatives, loss.drawn) == (2, 3)
    expected, _ = by_hand(loss, student, teacher, UNKNOWN, scale=loss.scale)
    draws = torch.stack([value_of(loss, student, teacher) for _ in range(1500)])
    error = draws.std().item() / math.sqrt(len(draws))
    assert abs(draws.mean().item() - expected.item()) < 4 * error < 0.05 * expected.item()


def test_mixtures_of_samples_are_refused_in_one_line():
    with pytest.raises(
        ConfigError, match="loss=crd remembers each sample by itself, which a mixture"
    ) as error:
        fitted(mixes=True)
    assert "\n" not in str(error.value) and "set views.mixing=none" in str(error.value)


def test_a_set_of_one_class_is_refused_in_one_line():
    with pytest.raises(ConfigError, match="two classes at least; use loss=kd") as error:
        fitted(torch.ones(SAMPLES, dtype=torch.long))
    assert "\n" not in str(error.value)


def steps(loss, optimizer, numbers):
    for number in numbers:
        optimizer.zero_grad()
        value_of(loss, *batch(torch.arange(5) + 5 * (number % 5), seed=number)).backward()
        optimizer.step()


def test_a_resumed_one_ends_with_the_same_bits():
    loss = fitted(negatives=6)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
    steps(loss, optimizer, range(4))
    state = {key: value.clone() for key, value in loss.state_dict().items()}
    random = torch.get_rng_state()
    steps(loss, optimizer, range(4, 8))
    torch.manual_seed(99)
    again = fitted(negatives=6)
    again.load_state_dict(state)
    torch.set_rng_state(random)
    steps(again, torch.optim.SGD(again.parameters(), lr=0.1), range(4, 8))
    found = again.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in loss.state_dict().items())


def test_what_it_keeps_for_a_resumption_is_embeddings_memories_and_scale():
    assert set(fitted().state_dict()) == {
        "embed_student.weight",
        "embed_student.bias",
        "embed_teacher.weight",
        "embed_teacher.bias",
        "of_student",
        "of_teacher",
        "scale",
    }


def test_nothing_of_the_size_of_batch_times_negatives_is_kept_for_the_gradient():
    loss = fitted(negatives=6)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.shape) or t, lambda t: t):
        value_of(loss, *batch(torch.arange(20)))
    assert sizes and (20, loss.drawn) not in sizes


def test_a_student_learns_to_find_its_teachers_embedding_of_the_same_sample():
    """Among those of other classes; one linear layer of its own is all it has."""
    _, teacher = batch(torch.arange(SAMPLES))
    pictures = teacher.embedding @ torch.randn(5, 5, dtype=torch.float64)
    model, loss = nn.Linear(5, 3).double(), fitted()

    def found():
        own = F.normalize(loss.embed_student(model(pictures)))
        near = own @ F.normalize(loss.embed_teacher(teacher.embedding)).T
        near.masked_fill_((LABELS[:, None] == LABELS) & ~torch.eye(SAMPLES, dtype=torch.bool), -2)
        return (near.argmax(dim=1) == torch.arange(SAMPLES)).double().mean().item()

    before = found()
    optimizer = torch.optim.Adam([*model.parameters(), *loss.parameters()], lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        student = Outputs(None, embedding=model(pictures), index=torch.arange(SAMPLES))
        value_of(loss, student, teacher).backward()
        optimizer.step()
    assert before < 0.3 and found() > 0.9
