"""What a loss does to a key: the order in a sum nothing, nor a temperature that none uses; but whom it listens to.

Where keys are equal, so is what is made.
"""

from dataclasses import replace

import pytest
import torch
from tool import new_session

from distill_cli.artifacts.files import read_json
from distill_cli.config.loss_terms import hard_weight, terms_of, uses_temperature
from distill_cli.stages import distill, evaluate, gen_soft_labels, train_teacher
from distill_cli.stages.jobs.objective import Losses
from distill_cli.stages.jobs.workplace import new_model

EMBEDDINGS = "soft_labels.embedding=true"
UNMIXED = "views.mixing=none"  # as crd wants it


def student(session, *words):
    return session(*words).plan.student


# Sums.


def test_a_sum_is_one_student_with_one_name_in_whatever_order_it_is_typed(session):
    one, other = (student(session, f"loss=[{names}]") for names in ("rkd,kd,dist", "dist,rkd,kd"))
    assert one.directory == other.directory and "-dist+kd+rkd-" in one.name


def test_so_it_is_where_a_yaml_has_the_terms_in_another_order(session):
    loss = session("loss=[crd,kd]").plan.config.loss
    turned = {**loss, "terms": dict(reversed(loss["terms"].items()))}
    assert list(turned["terms"]) == ["kd", "crd"]
    assert terms_of(turned) == terms_of(loss) and [term.name for term in terms_of(loss)] == ["crd", "kd"]


def parts(plan) -> dict[str, dict[str, torch.Tensor]]:
    """What the losses of a plan begin with, by their names."""
    models = [
        new_model(plan, role.model, 0, pretrained=False)
        for role in (plan.config.student, plan.config.teacher)
    ]
    fitted = Losses.fitted(plan, *models)
    modules = {term.name: term.loss for term in fitted.terms if isinstance(term.loss, torch.nn.Module)}
    states = {name: module.state_dict() for name, module in modules.items()}
    return states if fitted.learned is None else {**states, "temperature": fitted.learned.state_dict()}


def test_the_parts_of_a_loss_begin_alike_whatever_stands_beside_it(session):
    both, crd, srrl, alone = (
        parts(session(f"loss=[{names}]", UNMIXED).plan)
        for names in ("srrl,crd", "crd,kd", "rkd,srrl", "srrl")
    )
    torch.testing.assert_close(both["crd"], crd["crd"], rtol=0, atol=0)
    torch.testing.assert_close(both["srrl"], srrl["srrl"], rtol=0, atol=0)
    assert both["crd"] and both["srrl"] and alone["srrl"].keys() == both["srrl"].keys()


def test_a_learned_temperature_begins_alike_whatever_the_losses_draw(session):
    learned = "temperature_schedule=learned_per_sample"
    one, other = (parts(session(f"loss=[kd,{other}]", learned, UNMIXED).plan) for other in ("crd", "dist"))
    torch.testing.assert_close(one["temperature"], other["temperature"], rtol=0, atol=0)


def test_the_parts_of_two_losses_of_one_class_begin_apart(session):
    found = parts(session("loss=[srrl,srrl]").plan)
    assert list(found) == ["srrl", "srrl-2"]
    drawn = [value.flatten() for value in found["srrl"].values() if value.ndim > 1]
    others = [value.flatten() for value in found["srrl-2"].values() if value.ndim > 1]
    assert not torch.equal(torch.cat(drawn), torch.cat(others))


def test_where_hard_weights_differ_the_sums_own_counts(session):
    loss = session("loss=[simkd,rkd]", "loss.hard_weight=0.5").plan.config.loss
    assert hard_weight(loss) == 0.5


# What a term listens to.


@pytest.mark.parametrize(
    ("loss", "key"),
    [("loss=[kd,dist]", "loss.terms.kd.needs"), ("loss=kd teacher_source=online", "loss.needs")],
)
def test_what_a_loss_listens_to_is_in_the_key_unless_it_is_a_teachers_logits(session, loss, key):
    plain = student(session, *loss.split())
    assert student(session, *loss.split(), f"{key}=logits").key == plain.key
    assert student(session, *loss.split(), f"{key}=embedding").key != plain.key
    assert "needs" not in str(plain.identity)


# Temperature.

WITHOUT = (
    "rkd",
    "fitnets student=cnn_tiny",
    "tf_kd",
    "self_distillation",
    "crd",
    "[rkd,fitnets] student=cnn_tiny",
)


@pytest.mark.parametrize("loss", WITHOUT)
def test_a_temperature_that_no_loss_uses_changes_nothing(session, loss):
    words = f"loss={loss}".split()
    plain = session(*words).plan
    for typed in ("temperature=7", "temperature_schedule=linear"):
        plan = session(*words, typed).plan
        assert plan.student.directory == plain.student.directory and "-t7" not in plan.student.name
        assert plan.config == plain.config  # so nothing else can come to depend on it


@pytest.mark.parametrize("loss", ["kd", "logit_mse", "[kd,rkd]", "[tf_kd,dist]", "lskd"])
def test_a_temperature_that_a_loss_may_use_is_in_the_key(session, loss):
    assert student(session, f"loss={loss}").key != student(session, f"loss={loss}", "temperature=7").key


def test_a_loss_that_listens_to_the_former_student_has_the_temperature_or_its_own(session):
    kd, lwf = (session(f"loss={name}", "alpha=0").plan.config.loss for name in ("kd", "lwf"))
    assert uses_temperature({**kd, "needs": "previous"}) and not uses_temperature(lwf)


def test_other_seeds_are_suggested_where_there_is_no_temperature_to_sweep(session, capsys):
    evaluate.suggest_sweep(session("loss=tf_kd"))
    assert "seed=0,1,2" in capsys.readouterr().err
    evaluate.suggest_sweep(session("loss=[kd,rkd]"))
    assert "temperature=1,2,4,8" in capsys.readouterr().err


# Chains.


def test_a_chain_is_in_the_key_of_its_report_which_names_its_links(session):
    born_again, assisted = (session(word).plan for word in ("generations=2", "assistant=mlp_24"))
    assert born_again.student.key == assisted.student.key
    assert born_again.evaluation().key != assisted.evaluation().key


# Made.


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A directory where a teacher of one epoch and its soft labels lie, and a session there, as it was typed."""
    directory = tmp_path_factory.mktemp("taught")

    def session(*words):
        quick = (
            "teacher.epochs=1",
            "student.epochs=1",
            "views.count=1",
            "evaluate.latency=false",
            EMBEDDINGS,
        )
        return replace(new_session(directory, *quick, *words), words=words)

    train_teacher.run(session())
    gen_soft_labels.run(session())
    return session


def said(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if "is not used" in line]


@pytest.mark.parametrize(
    ("loss", "typed", "line"),
    [
        ("rkd", "temperature=3", "temperature is not used: loss=rkd has no temperature"),
        ("tf_kd", "temperature=3", "temperature is not used: loss=tf_kd has loss.temperature"),
        ("[tf_kd,rkd]", "temperature_schedule=linear", "loss=rkd+tf_kd has loss.terms.tf_kd.temperature"),
    ],
)
def test_who_sets_a_temperature_for_a_loss_without_is_told_also_where_nothing_is_to_be_done(
    taught, capsys, loss, typed, line
):
    for status in ("built", "up-to-date"):
        assert distill.run(taught(f"loss={loss}", typed)).status == status
        (found,) = said(capsys)
        assert line in found
    distill.run(taught(f"loss={loss}"))
    assert not said(capsys)


def test_a_report_says_which_settings_were_not_used(taught):
    distill.run(taught("loss=rkd"))
    result = evaluate.run(taught("loss=rkd", "alpha=0.5", "temperature=3"))
    settings = read_json(result.place.directory / "report.json")["settings"]
    assert settings["alpha"] == settings["temperature"] == "not used"
