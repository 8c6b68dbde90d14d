"""What holds for every loss between logits."""

import math

import pytest
import torch
from every_logit_loss import (
    FEELS_A_SHIFT,
    IN_CONF,
    LOOKS_ACROSS_SAMPLES,
    LOSSES,
    NEVER_ZERO,
    NOT_BEST_AS_THE_TEACHER,
    TAKES_TOP_K,
    WITH_TARGET,
    WITHOUT_TEMPERATURE,
    labels,
    names,
)
from hydra.types import RunMode
from omegaconf import OmegaConf
from reference import logits, value_and_gradient

from distill_cli.config.loss_terms import LossTerm
from distill_cli.config.overrides import as_hydra
from distill_cli.config.targets import instantiate_nested
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import config_loader, user_config
from distill_cli.losses.outputs import Outputs
from distill_cli.losses.top import TopLogits

every = pytest.mark.parametrize("name", names())
tempered = pytest.mark.parametrize("name", names(without=WITHOUT_TEMPERATURE))
EXACT = {"rtol": 1e-10, "atol": 1e-13}
WITHIN = {"dist": 1e-4, "logit_correlation": 1e-9}  # of 0: the published code adds 1e-8 to a product of norms
EXTREME = 1e4 * logits(0).sign().float()
OTHERS = {
    "the opposite": -EXTREME,
    "others as extreme": 1e4 * logits(1).sign().float(),
    "all the same": torch.zeros(16, 10),
    "usual ones": logits(1).float(),
}


def found(name, student, teacher, temperature=4.0, of=None):
    return value_and_gradient(
        LOSSES[name], student, teacher, temperature, labels(len(student)) if of is None else of
    )


@pytest.mark.parametrize("name", IN_CONF)
def test_its_yaml_makes_it_as_it_makes_itself(name):
    with user_config(None), config_loader() as loader:
        config = loader.load_configuration("config", [as_hydra(f"loss={name}")], RunMode.RUN)
    term = LossTerm.of(OmegaConf.to_container(config.loss, resolve=True), "loss")
    assert term.needs == "logits"
    assert described(instantiate_nested(term.spec)) == described(IN_CONF[name])


def described(loss):
    """Its class and numbers, and those of a loss within it."""
    return type(loss), {
        key: described(value) if callable(value) else value for key, value in vars(loss).items()
    }


@every
def test_its_gradient_is_that_of_finite_differences(name):
    student, teacher = logits(0, rows=3, classes=5).requires_grad_(), Outputs(logits(1, rows=3, classes=5))
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](Outputs(z), teacher, labels(3), 3.0), student)


@tempered
@pytest.mark.parametrize("shape", [(), (3, 1)], ids=["one", "one a sample"])
def test_a_temperature_that_is_learned_gets_its_gradient(name, shape):
    student, teacher = Outputs(logits(0, rows=3, classes=5)), Outputs(logits(1, rows=3, classes=5))
    temperature = torch.linspace(2, 5, 3 if shape else 1, dtype=torch.float64).reshape(shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: LOSSES[name](student, teacher, labels(3), t), temperature)


@every
@pytest.mark.parametrize("shape", [(), (16, 1)], ids=["one", "one a sample"])
def test_a_temperature_in_a_tensor_is_that_temperature(name, shape):
    value, gradient = found(name, logits(0), logits(1), 3.0)
    as_tensor, its_gradient = found(name, logits(0), logits(1), torch.full(shape, 3.0, dtype=torch.float64))
    assert as_tensor == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(its_gradient, gradient, **EXACT)


@pytest.mark.parametrize("name", names(without=LOOKS_ACROSS_SAMPLES))
def test_it_is_the_mean_of_each_sample_alone_at_its_temperature(name):
    student, teacher, temperatures = (
        logits(0),
        logits(1),
        torch.linspace(1, 6, 16, dtype=torch.float64)[:, None],
    )
    value, gradient = found(name, student, teacher, temperatures)
    each = [
        value_and_gradient(
            LOSSES[name], student[i : i + 1], teacher[i : i + 1], t.item(), labels(16)[i : i + 1]
        )
        for i, t in enumerate(temperatures)
    ]
    assert value == pytest.approx(sum(value for value, _ in each) / 16, rel=1e-12)
    torch.testing.assert_close(gradient, torch.cat([row for _, row in each]) / 16, **EXACT)


@pytest.mark.parametrize("name", sorted(WITHOUT_TEMPERATURE))
def test_one_without_a_temperature_ignores_it(name):
    assert found(name, logits(0), logits(1), 1.0)[0] == found(name, logits(0), logits(1), 20.0)[0]


@pytest.mark.parametrize("name", names(without=WITHOUT_TEMPERATURE | LOOKS_ACROSS_SAMPLES))
def test_its_gradient_neither_grows_nor_shrinks_with_a_high_temperature(name):
    _, at_1000 = found(name, logits(0), logits(1), 1000.0)
    _, at_4000 = found(name, logits(0), logits(1), 4000.0)
    assert at_1000.norm() > 1e-3
    torch.testing.assert_close(at_4000, at_1000, rtol=0.05, atol=1e-4)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_the_value_of_float32(name, dtype):
    student, teacher = logits(0).to(dtype), logits(1).to(dtype)
    half = LOSSES[name](Outputs(student), Outputs(teacher), labels(16), 4.0)
    single = LOSSES[name](Outputs(student.float()), Outputs(teacher.float()), labels(16), 4.0)
    double, _ = found(name, student.double(), teacher.double())
    assert half.dtype == torch.float32 and torch.equal(half, single)
    assert half.item() == pytest.approx(double, rel=1e-5)


@every
@pytest.mark.parametrize("temperature", [1.0, 20.0])
@pytest.mark.parametrize("other", OTHERS)
def test_extreme_logits_stay_finite_and_so_does_the_gradient(name, other, temperature):
    for student, teacher in ((EXTREME, OTHERS[other]), (OTHERS[other], EXTREME)):
        for of in (labels(16), torch.full((16,), -1)):
            value, gradient = found(name, student, teacher, temperature, of)
            assert math.isfinite(value) and gradient.isfinite().all()


@every
def test_a_batch_of_one_has_a_value_and_a_gradient(name):
    value, gradient = found(name, logits(0, rows=1), logits(1, rows=1))
    assert math.isfinite(value) and gradient.isfinite().all() and gradient.abs().max() > 0


@every
def test_the_order_of_samples_and_of_classes_does_not_matter(name):
    value, gradient = found(name, logits(0), logits(1))
    rows, classes = torch.arange(16).flip(0), torch.tensor([3, 0, 4, 9, 1, 5, 8, 2, 6, 7])
    moved = labels(16)[rows], logits(0)[rows][:, classes], logits(1)[rows][:, classes]
    its_value, its_gradient = found(name, *moved[1:], of=classes.argsort()[moved[0]])
    assert its_value == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(its_gradient, gradient[rows][:, classes], **EXACT)


@every
def test_only_one_that_matches_logits_as_they_are_feels_a_shift(name):
    shifts = torch.linspace(-3, 5, 16, dtype=torch.float64)[:, None]
    value, _ = found(name, logits(0), logits(1))
    shifted, _ = found(name, logits(0) + shifts, logits(1) - 2 * shifts)
    assert (shifted == pytest.approx(value, rel=1e-9)) is (name not in FEELS_A_SHIFT)


@pytest.mark.parametrize("name", names(without=NEVER_ZERO))
def test_a_student_equal_to_its_teacher_costs_nothing(name):
    assert found(name, logits(0), logits(0))[0] == pytest.approx(0, abs=WITHIN.get(name, 1e-12))
    assert found(name, logits(0), logits(1))[0] > 0.01


@pytest.mark.parametrize("name", names(without=NOT_BEST_AS_THE_TEACHER))
def test_a_student_equal_to_its_teacher_is_at_the_minimum(name):
    value, gradient = found(name, logits(0), logits(0))
    assert gradient.abs().max() < WITHIN.get(name, 1e-12)
    for seed in range(1, 6):
        assert found(name, logits(0) + 0.1 * logits(seed), logits(0))[0] > value


@every
def test_a_sample_without_a_label_takes_the_teachers_top_class_for_its_target(name):
    student, teacher, some = logits(0), logits(1), labels(16).where(torch.arange(16) % 3 > 0, -1)
    value, gradient = found(name, student, teacher, of=some)
    as_labelled, its_gradient = found(name, student, teacher, of=some.where(some >= 0, teacher.argmax(1)))
    assert value == as_labelled and torch.equal(gradient, its_gradient)
    assert (value == found(name, student, teacher)[0]) is (name not in WITH_TARGET)


@pytest.mark.parametrize("name", names(without=TAKES_TOP_K))
def test_one_that_needs_all_logits_says_so_in_one_line(name):
    values, index = logits(1).sort(dim=1, descending=True)
    teacher = Outputs(None, TopLogits(index[:, :5], values[:, :5], None))
    with pytest.raises(ConfigError, match="needs all logits, soft_labels=top_k keeps 5") as error:
        LOSSES[name](Outputs(logits(0)), teacher, labels(16), 4.0)
    assert "\n" not in str(error.value)
