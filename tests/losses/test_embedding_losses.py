"""Losses between embeddings against published values and formulas from the papers; what all of them keep."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from reference import golden_input, named, published
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from distill_cli.errors import ConfigError
from distill_cli.losses import rkd
from distill_cli.losses.correlation_congruence import CorrelationCongruence
from distill_cli.losses.crd import ContrastiveDistillation
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.pkt import ProbabilisticKnowledgeTransfer
from distill_cli.losses.rkd import RelationalKnowledgeDistillation
from distill_cli.losses.setting import Setting
from distill_cli.losses.similarity_preserving import SimilarityPreserving
from distill_cli.losses.simkd import SimKd
from distill_cli.losses.srrl import SoftmaxRegression

CLASSES, SAMPLES = 5, 40
LOSSES = {
    "rkd": RelationalKnowledgeDistillation,
    "pkt": ProbabilisticKnowledgeTransfer,
    "correlation_congruence": CorrelationCongruence,
    "similarity_preserving": partial(SimilarityPreserving, of="embedding"),
    "crd": partial(ContrastiveDistillation, width=6),
    "simkd": SimKd,
    "srrl": SoftmaxRegression,
}
WITH_PARTS = {"correlation_congruence", "crd", "srrl"}
ZERO_WHERE_EQUAL = ["rkd", "pkt", "correlation_congruence", "similarity_preserving", "simkd"]
every = pytest.mark.parametrize("name", LOSSES)


def rows(seed, count=7, width=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64).to(dtype)


def seen(embedding):
    return Outputs(None, embedding=embedding, index=torch.arange(len(embedding)))


def setting(width):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        classifier = nn.Linear(width, CLASSES).requires_grad_(False)
    return Setting(torch.arange(SAMPLES) % CLASSES, CLASSES, classifier)


def fitted(name, student, teacher):
    """In eval mode: with its parts as they are, and nothing remembered."""
    loss = LOSSES[name]()
    if not isinstance(loss, nn.Module):
        return loss
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pair = [seen(rows(0, 2, embedding.shape[1], torch.float32)) for embedding in (student, teacher)]
        loss.fit(*pair, setting(teacher.shape[1]))
    if name == "crd":
        loss.scale.fill_(30.0)  # or else the first batch decides it, without a gradient
    return loss.to(torch.promote_types(student.dtype, torch.float32)).eval()


def without_layers(loss):
    """Published values are of embeddings as they are."""
    if isinstance(loss, CorrelationCongruence):
        loss.embed_student = loss.embed_teacher = nn.Identity()
    return loss


def value_of(loss, student, teacher, labels=None, temperature=4.0):
    with torch.random.fork_rng():
        torch.manual_seed(3)  # of what is drawn
        student = student if isinstance(student, Outputs) else seen(student)
        return loss(student, seen(teacher), labels, temperature)


def gradient_of(loss, student, teacher):
    student = student.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value_of(loss, student, teacher), student)
    return gradient


def rotation(width):
    return torch.linalg.qr(rows(9, width, width)).Q


@pytest.mark.parametrize("entry", published("rkd", "pkt", "correlation_congruence"), ids=named)
def test_it_gives_the_value_and_gradient_of_the_published_code(entry):
    student, teacher = golden_input("student_embedding").requires_grad_(), golden_input("teacher_embedding")
    value = value_of(without_layers(fitted(entry["loss"], student, teacher)), student, teacher)
    (gradient,) = torch.autograd.grad(value, student)
    assert value.item() == pytest.approx(entry["value"], rel=1e-9)
    assert gradient.norm().item() == pytest.approx(entry["grad_norm"][0], rel=1e-9)


def test_similarity_preserving_gives_the_value_and_gradient_of_the_published_code():
    (entry,) = published("similarity_preserving")
    student, teacher = (
        golden_input("student_feature_8x8").requires_grad_(),
        golden_input("teacher_feature_8x8"),
    )
    own = Outputs(None, features=(golden_input("student_feature_4x4"), student))
    theirs = Outputs(None, features=(golden_input("teacher_feature_4x4"), teacher))
    value = SimilarityPreserving()(own, theirs, None, 4.0)  # of the last pair alone
    (gradient,) = torch.autograd.grad(value, student)
    assert value.item() == pytest.approx(entry["value"], rel=1e-9)
    assert gradient.norm().item() == pytest.approx(entry["grad_norm"][0], rel=1e-9)


def test_rkd_is_the_smooth_l1_distance_of_distances_and_angles():
    def relations(x):
        pairs, triples = [], []
        mean = torch.stack([(a - b).norm() for i, a in enumerate(x) for b in x[:i]]).mean()
        for a in x:
            for b in x:
                pairs.append((a - b).norm() / mean)
                triples.extend(F.normalize(b - a, dim=0) @ F.normalize(c - a, dim=0) for c in x)
        return torch.stack(pairs), torch.stack(triples)

    student, teacher = rows(0, 5, 3), rows(1, 5, 6)
    distances, angles = zip(relations(student), relations(teacher), strict=True)
    expected = 25 * F.smooth_l1_loss(*distances) + 50 * F.smooth_l1_loss(*angles)
    value = value_of(fitted("rkd", student, teacher), student, teacher)
    assert value.item() == pytest.approx(expected.item(), rel=1e-10)
    for parts, of in [({"distance": 0.0}, angles), ({"angle": 0.0}, distances)]:
        weight = 50 if of is angles else 25
        found = value_of(RelationalKnowledgeDistillation(**parts), student, teacher)
        assert found.item() == pytest.approx(weight * F.smooth_l1_loss(*of).item(), rel=1e-10)


def test_pkt_is_the_kl_of_the_neighbourhoods_over_the_number_of_samples():
    def neighbours(x):
        nearness = (F.cosine_similarity(x[:, None], x, dim=2) + 1) / 2
        return nearness / nearness.sum(dim=1, keepdim=True)

    student, teacher = rows(0, 6, 3), rows(1, 6, 8)
    q, p = neighbours(student), neighbours(teacher)
    expected = (p * (p / q).log()).sum(dim=1).mean() / 6
    value = value_of(fitted("pkt", student, teacher), student, teacher)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)  # theirs adds 1e-7 here and there


def test_similarity_preserving_compares_rows_of_products_of_norm_1():
    def similarity(x):
        return torch.stack([F.normalize(torch.stack([a @ b for b in x]), dim=0) for a in x])

    student, teacher = rows(0, 6, 3), rows(1, 6, 8)
    expected = F.mse_loss(similarity(student), similarity(teacher))
    value = value_of(fitted("similarity_preserving", student, teacher), student, teacher)
    assert value.item() == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("widths", [(3, 8), (4, 4)])
def test_correlation_congruence_compares_linear_embeddings_of_one_width(widths):
    student, teacher = rows(0, 5, widths[0]), rows(1, 5, widths[1])
    loss = fitted("correlation_congruence", student, teacher)
    own, theirs = loss.embed_student(student), loss.embed_teacher(teacher)
    assert own.shape == theirs.shape == (5, 128)
    missed = [(a - b).abs() for a, b in zip(own, theirs, strict=True)]
    expected = sum(one @ other for one, other in pairwise(missed)) / 4
    assert value_of(loss, student, teacher).item() == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("training", [True, False])
def test_srrl_matches_embeddings_and_what_the_teachers_classifier_says_of_them(training):
    student, teacher, given = rows(0, 6, 3), rows(1, 6, 8), setting(8)
    loss = fitted("srrl", student, teacher).train(training)
    linear = loss.connector.convolution.weight.flatten(start_dim=1)
    mixed = student @ linear.T
    if training:
        mixed = (mixed - mixed.mean(dim=0)) / (mixed.var(dim=0, unbiased=False) + 1e-5).sqrt()
    else:
        mixed = mixed / (1 + 1e-5) ** 0.5  # by the statistics of a fresh batch norm
    connected, classifier = mixed.relu(), given.classifier.double()
    expected = F.mse_loss(connected, teacher) + F.mse_loss(classifier(connected), classifier(teacher))
    assert value_of(loss, student, teacher).item() == pytest.approx(expected.item(), rel=1e-10)


def test_simkd_is_the_mean_square_of_the_difference():
    student, teacher = rows(0), rows(1)
    assert value_of(SimKd(), student, teacher).item() == pytest.approx(
        sum((a - b) ** 2 for a, b in zip(student.flatten(), teacher.flatten(), strict=True)).item() / 28
    )


@every
def test_its_gradient_is_that_of_its_value(name):
    teacher = rows(1, 5, 4)
    student = rows(0, 5, 4 if name == "simkd" else 3).requires_grad_()
    loss = fitted(name, student, teacher)
    assert torch.autograd.gradcheck(lambda x: value_of(loss, x, teacher), student)


@pytest.mark.parametrize("name", ZERO_WHERE_EQUAL)
def test_a_student_equal_to_its_teacher_costs_nothing(name):
    embedding = rows(0)
    loss = without_layers(fitted(name, embedding, embedding))
    assert value_of(loss, embedding, embedding).item() == pytest.approx(0, abs=1e-12)
    rounding = 1e-8 if name == "pkt" else 1e-12  # it adds 1e-7 to probabilities
    assert gradient_of(loss, embedding, embedding).abs().max() < rounding


@pytest.mark.parametrize("name", ["rkd", "pkt", "similarity_preserving"])
def test_turning_the_space_of_embeddings_changes_nothing(name):
    student, teacher = rows(0, width=3), rows(1, width=5)
    loss = fitted(name, student, teacher)
    before = value_of(loss, student, teacher)
    after = value_of(loss, student @ rotation(3), teacher @ rotation(5))
    torch.testing.assert_close(after, before, rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rkd", lambda x: 7 * x + 3),
        ("pkt", lambda x: x * torch.linspace(1, 9, len(x), dtype=x.dtype)[:, None]),
        ("similarity_preserving", lambda x: 7 * x),
    ],
)
def test_what_only_looks_at_relations_does_not_see_scale(name, change):
    student, teacher = rows(0), rows(1)
    loss = fitted(name, student, teacher)
    torch.testing.assert_close(
        value_of(loss, change(student), teacher), value_of(loss, student, teacher), rtol=1e-6, atol=0
    )


@every
def test_the_order_of_samples_changes_nothing_but_where_neighbours_count(name):
    student, teacher, order = rows(0), rows(1), torch.randperm(7, generator=torch.Generator().manual_seed(0))
    loss = fitted(name, student, teacher)
    before = value_of(loss, student, teacher)
    after = value_of(loss, seen(student).take(order), teacher[order])
    assert torch.allclose(after, before, rtol=1e-10, atol=0) is (name != "correlation_congruence")


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    student, teacher = rows(0, dtype=dtype), rows(1, dtype=dtype)
    loss = fitted(name, student, teacher)
    value = value_of(loss, student, teacher)
    assert value.dtype == torch.float32
    assert torch.equal(value, value_of(loss, student.float(), teacher.float()))
    exact = value_of(fitted(name, student.double(), teacher), student.double(), teacher.double())
    torch.testing.assert_close(value.double(), exact, rtol=1e-4, atol=0)


@every
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("training", [True, False])
def test_extreme_embeddings_and_a_batch_of_one_stay_finite(name, count, training):
    for own, theirs in [(1e4, -1e4), (1e-12, 1e4), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0)]:
        student = (own * rows(0, count, dtype=torch.float32)).requires_grad_()
        teacher = theirs * rows(1, count, dtype=torch.float32)
        loss = fitted(name, student, teacher)
        if name in WITH_PARTS:
            loss.train(training)
        value = value_of(loss, student, teacher)
        value.backward()
        assert value.isfinite() and student.grad.isfinite().all(), (own, theirs)


@every
def test_equal_samples_give_finite_gradients(name):
    student = rows(0, dtype=torch.float32)[[0, 0, 0, 1, 2]]
    teacher = rows(1, dtype=torch.float32)[[0, 0, 1, 1, 2]]
    assert gradient_of(fitted(name, student, teacher), student, teacher).isfinite().all()
    everywhere = student[:1].expand(5, -1)
    assert gradient_of(fitted(name, student, teacher), everywhere, teacher).isfinite().all()


@every
def test_neither_labels_nor_temperature_play_a_part(name):
    student, teacher = rows(0), rows(1)
    loss = fitted(name, student, teacher)
    known = value_of(loss, student, teacher, torch.arange(7) % CLASSES, 1.0)
    for temperature in (4.0, torch.tensor(4.0), torch.full((7, 1), 4.0)):
        assert torch.equal(value_of(loss, student, teacher, torch.full((7,), -1), temperature), known)


@pytest.mark.parametrize("name", sorted(WITH_PARTS))
def test_its_parts_learn(name):
    student, teacher = rows(0, width=3), rows(1, width=5)
    loss = fitted(name, student, teacher).train()
    value_of(loss, student, teacher).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in loss.parameters())
    assert len(list(loss.parameters())) > 0


def test_the_teachers_classifier_is_neither_trained_nor_kept_by_srrl():
    loss = fitted("srrl", rows(0), rows(1))
    assert not any("classifier" in key for key in loss.state_dict())
    assert {key.partition(".")[0] for key in loss.state_dict()} == {"connector"}


@pytest.mark.parametrize("classifier", [None, nn.Linear(4, 9), nn.Linear(6, CLASSES)])
def test_a_teacher_without_a_classifier_of_its_embedding_is_refused_by_srrl_in_one_line(classifier):
    given = Setting(torch.zeros(9, dtype=torch.long), CLASSES, classifier)
    with pytest.raises(ConfigError, match=r"last layer is linear; use loss=kd$") as error:
        SoftmaxRegression().fit(seen(rows(0, 2)), seen(rows(1, 2)), given)
    assert "\n" not in str(error.value)


def test_similarity_preserving_knows_two_kinds():
    with pytest.raises(ValueError, match="must be features or embedding"):
        SimilarityPreserving(of="logits")


class Largest(TorchDispatchMode):
    """How many numbers the largest result of any operation has."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        result = operation(*arguments, **(options or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("name", ["rkd", "pkt", "similarity_preserving", "correlation_congruence"])
def test_nothing_larger_than_batch_times_width_or_a_block_of_angles_is_made(name, monkeypatch):
    monkeypatch.setitem(rkd.BLOCK, "cpu", 2048)
    student, teacher = rows(0, 32, 512, torch.float32), rows(1, 32, 512, torch.float32)
    loss = without_layers(fitted(name, student, teacher))
    with Largest() as largest:
        gradient_of(loss, student, teacher)
    assert 32 * 32 <= largest.numbers <= 32 * 512


def test_angles_in_blocks_are_the_angles_at_once(monkeypatch):
    student, teacher = rows(0, 20), rows(1, 20)
    loss = fitted("rkd", student, teacher)
    value, gradient = value_of(loss, student, teacher), gradient_of(loss, student, teacher)
    monkeypatch.setitem(rkd.BLOCK, "cpu", 3 * 20**2)  # 20 samples are no multiple of 3
    torch.testing.assert_close(value_of(loss, student, teacher), value, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient_of(loss, student, teacher), gradient, rtol=1e-10, atol=1e-14)


def test_rkd_sees_samples_that_lie_close_together_far_from_the_origin():
    student, teacher = 1e3 + 1e-2 * rows(0), 1e3 + rows(1)
    student, teacher = student.float(), teacher.float()
    loss = fitted("rkd", student, teacher)
    exact = value_of(loss, student.double(), teacher.double())
    assert value_of(loss, student, teacher).item() == pytest.approx(exact.item(), rel=1e-5)
