"""Runs built to have a fault: the report names it, and the student that follows the advice is better."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from tool import new_session

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.store import read_manifest
from distill_cli.data.views.views import open_views
from distill_cli.stages import distill, evaluate, gen_soft_labels, train_teacher
from distill_cli.stages.jobs.evidence import gather
from distill_cli.stages.jobs.workplace import train_loader, trained_model

TEACHER = ("teacher.epochs=25", "teacher.ema=0.95")
UNMIXED = ("views=shift", "views.mixing=none", "student.epochs=60")  # on these the temperature matters most
COMMON = (*TEACHER, "evaluate.latency=false", "evaluate.pictures=0")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Artefacts that all tests share, and data sets made of the digits."""
    directory = tmp_path_factory.mktemp("faults")
    data = new_session(directory, *COMMON).plan.data
    pictures, labels, wrong = data.train.images, data.train.labels.copy(), np.random.default_rng(0)
    few = {"images": pictures[:250], "labels": labels[:250]}
    noisy = wrong.random(len(labels)) < 0.3
    labels[noisy] = (labels[noisy] + wrong.integers(1, 10, noisy.sum())) % 10
    test = {"test_images": data.test.images, "test_labels": data.test.labels}
    np.savez(directory / "noisy.npz", images=pictures, labels=labels, **test)
    np.savez(directory / "few.npz", **few, **test)
    return directory


def trained(directory, *overrides):
    """A session whose student is there."""
    session = new_session(directory, *COMMON, f"paths.data={directory}", *overrides)
    train_teacher.run(session)
    for link in session.plan.links:
        if link.reads_labels:
            gen_soft_labels.run(replace(session, plan=link))
        distill.run(replace(session, plan=link))
    return session


def report_of(session):
    evaluate.run(session)
    return read_json(session.plan.evaluation().directory / "report.json")


def top1(session):
    return read_manifest(session.plan.student.directory)["metrics"]["test_top1"]


def following(overrides, advice):
    replaced = {word.partition("=")[0] for word in advice}
    return [*(word for word in overrides if word.partition("=")[0] not in replaced), *advice]


FAULTS = {
    "two units": (
        ["student.model.width=2", "student.epochs=60"],
        "student_too_small",
        "student.model.width=4",
    ),
    "two epochs": (["student.epochs=2"], "too_few_epochs", "student.epochs=6"),
    "a thousand degrees": ([*UNMIXED, "temperature=1000"], "temperature_too_high", "temperature=3"),
    "next to no temperature": ([*UNMIXED, "temperature=0.05"], "temperature_too_low", "temperature=3"),
    "a teacher as small as its student": (
        ["teacher=mlp_24", "teacher.ema=null"],
        "teacher_barely_better",
        "teacher.model.width=96",
    ),
    "a teacher that knows little by heart": (
        [
            *("data=arrays", "data.file=few.npz", "views=none", "views.mixing=none", "temperature=1"),
            *(
                "views@teacher.views=none",
                "teacher.views.count=null",
                "teacher.ema=null",
                "teacher.epochs=60",
            ),
        ],
        "teacher_overconfident",
        "views.mixing=cutmix temperature=3",
    ),
    "a weight made for larger pictures": (
        ["loss=nst", "student=cnn_tiny", "student.epochs=20"],
        "soft_loss_drowns",
        "loss.weight=5",
    ),
    "gradients that break a training": (
        ["loss=mlkd", "student.epochs=60"],
        "training_collapsed",
        "student.clip_norm=1",
    ),
    "a teacher of two epochs": (
        ["teacher.epochs=2", "student=cnn_tiny", "student.epochs=20"],
        "teacher_barely_better",
        "teacher.epochs=20",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_with_a_fault_is_told_so_and_what_to_try_helps(directory, fault):
    overrides, rule, advice = FAULTS[fault]
    session = trained(directory, *overrides)
    distill.run_baseline(session)
    found = report_of(session)["diagnosis"]
    assert [finding["rule"] for finding in found] == [rule], found
    assert found[0]["try"] == advice
    assert top1(trained(directory, *following(overrides, advice.split()))) > top1(session) + 0.005


def test_labels_that_the_teacher_denies_are_told_and_more_weight_on_the_teacher_helps(directory):
    good = new_session(directory, *COMMON)
    train_teacher.run(good)
    data = good.plan.data
    overrides = [
        *("data=arrays", "data.file=noisy.npz", "alpha=0.1", "student.epochs=60"),
        *(f"data.mean={list(data.mean)}", f"data.std={list(data.std)}"),
        f"teacher.checkpoint={good.plan.teacher.directory / 'model.safetensors'}",
    ]
    session = trained(directory, *overrides)
    found = report_of(session)["diagnosis"]
    assert [finding["rule"] for finding in found] == ["terms_at_odds"]
    assert found[0]["evidence"]["gradient_cosine"] < -0.5
    assert top1(trained(directory, *following(overrides, [found[0]["try"]]))) > top1(session) + 0.02


def test_a_student_that_keeps_up_is_told_nothing(directory):
    teacher = ("teacher=mlp_24", "teacher.ema=null")
    report = report_of(trained(directory, *teacher, "student.model.width=64", "temperature=1000"))
    assert report["comparison"]["drop"] < 0 and report["diagnosis"] == []


@pytest.fixture(scope="module")
def default(directory):
    """The recipe as it comes, evaluated."""
    session = trained(directory)
    return session, report_of(session)


def gathered(session, report, **models):
    plan = session.plan
    student, runtime = trained_model(plan, plan.config.student.model, plan.student, 256)
    return gather(plan, student, runtime, {**report["models"], **models})


def test_the_figures_are_those_of_their_formulas(default):
    session, report = default
    plan = session.plan
    student, runtime = trained_model(plan, plan.config.student.model, plan.student, 256)
    teacher, _ = trained_model(plan, plan.config.teacher.model, plan.teacher, 256)
    everything = np.arange(len(plan.data.train))
    loader = train_loader(plan, plan.config.views, runtime)
    (batch,) = loader.view(everything, np.zeros_like(everything), len(everything))

    said, answered = teacher(batch.inputs).detach(), student(batch.inputs)
    p = (said / 2).softmax(1)
    kl = (p * (p.log() - (answered / 2).log_softmax(1))).sum(1).mean()
    of_nothing = (p * (p.log() + np.log(10))).sum(1).mean()
    hard = -(batch.targets * answered.log_softmax(1)).sum(1).mean()
    gradients = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, student.parameters(), retain_graph=True)])
        for loss in (hard, 4 * kl)
    ]

    evidence = gathered(session, report)
    assert evidence.alpha == 0.9  # to the bit: it is held against a threshold
    entropy = -(p * p.log()).sum(1).mean() / np.log(10)
    assert evidence.coldest_entropy == evidence.hottest_entropy == pytest.approx(entropy.item(), abs=1e-3)
    assert evidence.unlearned == pytest.approx((kl / of_nothing).item(), abs=1e-3)
    cosine = torch.cosine_similarity(*gradients, dim=0)
    assert evidence.gradient_cosine == pytest.approx(cosine.item(), abs=0.02)  # rows are float16
    confidence = said.softmax(1).amax(1).mean()
    assert evidence.teacher_confidence == pytest.approx(confidence.item(), abs=1e-3)
    assert 0.95 < evidence.label_agreement <= 1 and 0.98 < evidence.train_top1 <= 1


def test_the_online_teacher_and_streamed_pictures_give_the_same_figures(default, directory):
    session, report = default
    cached = gathered(session, report)
    online = new_session(directory, *COMMON, "teacher_source=online").plan
    streamed = new_session(directory, *COMMON, "trainer.resident_bytes=0", "trainer.workers=0").plan
    student, runtime = trained_model(
        session.plan, session.plan.config.student.model, session.plan.student, 256
    )
    shutil.copytree(session.plan.student.directory, online.student.directory)  # its history is read
    for plan in (online, streamed):
        found = gather(plan, student, runtime, report["models"])
        for name in ("train_top1", "coldest_entropy", "unlearned", "label_agreement", "teacher_confidence"):
            assert getattr(found, name) == pytest.approx(getattr(cached, name), abs=2e-3), name


def test_gathering_leaves_the_student_and_every_generator_as_they_were(default):
    session, report = default
    plan = session.plan
    student, runtime = trained_model(plan, plan.config.student.model, plan.student, 256)
    weights, random = copy.deepcopy(student.state_dict()), torch.get_rng_state()
    gather(plan, student, runtime, report["models"])
    assert not student.training and all(parameter.grad is None for parameter in student.parameters())
    assert all(torch.equal(weights[name], value) for name, value in student.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_the_sample_is_as_large_as_asked_for_and_spread_over_the_train_part(default, directory, monkeypatch):
    session, report = default
    seen = []
    draw = type(open_views(session.plan.config.views, (8, 8))).draw
    monkeypatch.setattr(
        "distill_cli.data.views.views.Views.draw",
        lambda self, index, view, samples: seen.append(index) or draw(self, index, view, samples),
    )
    gathered(new_session(directory, *COMMON, "evaluate.diagnosis=100"), report)
    index = np.concatenate(seen)
    assert len(index) == 100 and (np.diff(index) > 5).all() and index[-1] == len(session.plan.data.train) - 1


def test_without_soft_labels_the_report_is_made_and_says_why_it_says_less(directory, capsys):
    session = trained(directory, "views.seed=5", "teacher.views.seed=0", "student.epochs=5")
    shutil.rmtree(session.plan.labels.place.directory)
    report = report_of(session)
    assert "no diagnosis from the soft labels" in capsys.readouterr().err
    evidence = report["evidence"]
    assert evidence["unlearned"] is None and evidence["gradient_cosine"] is None
    assert evidence["train_top1"] > 0.9


def test_what_a_run_has_not_is_not_known(directory):
    without_temperature = gathered_from(trained(directory, "loss=logit_mse", "student.epochs=5"))
    assert without_temperature.coldest_entropy is None and without_temperature.entropy > 0
    moving = gathered_from(trained(directory, "temperature_schedule=linear", "student.epochs=5"))
    assert moving.fall is None and moving.coldest_entropy < moving.hottest_entropy
    assert gathered_from(trained(directory, "student.epochs=1")).fall is None


def gathered_from(session):
    return gathered(session, report_of(session))


def test_samples_without_a_label_count_for_the_soft_term_alone(directory):
    session = trained(directory, "data.labeled_fraction=0.1", "teacher.epochs=3", "student.epochs=5")
    evidence = gathered_from(session)
    assert evidence.train_top1 > 0.1 and -1 <= evidence.gradient_cosine <= 1
    assert 0 <= evidence.label_agreement <= 1


SHORT = ("teacher.epochs=3", "student.epochs=4")
OF_SOFT_LABELS = ("label_agreement", "teacher_confidence", "entropy", "unlearned", "gradient_cosine")


@pytest.mark.parametrize(
    ("words", "is_judged"),
    [
        (["loss=[kd,dist]"], False),
        (["temperature_schedule=learned"], False),
        (["teacher=[cnn_digits,cnn_digits]", "teacher_source=online"], True),
        (["loss=mlkd", "generations=2"], True),
    ],
)
def test_no_temperature_is_judged_that_nobody_chose_or_that_one_of_several_losses_has(
    directory, words, is_judged
):
    evidence = gathered_from(trained(directory, *SHORT, *words)).document()
    assert all(evidence[name] is not None for name in (*OF_SOFT_LABELS, "train_top1"))
    assert (evidence["coldest_entropy"] is not None) == is_judged
    assert evidence["alpha"] == 0.9


@pytest.mark.parametrize(
    "words", [["loss=rkd"], ["loss=attention_transfer", "student=cnn_tiny"]], ids=" ".join
)
def test_a_student_that_learned_no_logits_is_not_held_against_soft_labels(directory, words):
    evidence = gathered_from(trained(directory, *SHORT, *words)).document()
    assert [evidence[name] for name in (*OF_SOFT_LABELS, "coldest_entropy", "alpha")] == [None] * 7
    assert evidence["train_top1"] > 0 and evidence["fall"] is not None


def test_a_student_without_a_teacher_has_a_report_that_compares_and_claims_no_more(directory):
    session = trained(directory, *SHORT, "loss=tf_kd")
    distill.run_baseline(session)
    report = report_of(session)
    assert report["evidence"] == {} and report["diagnosis"] == []
    assert [step["role"] for step in report["provenance"]] == ["teacher", "student", "baseline", "report"]
    assert report["comparison"]["gain"] is not None and report["models"]["student"]["agreement"] > 0


def test_in_a_chain_the_soft_labels_are_held_against_whoever_gave_them(directory):
    session = trained(directory, *SHORT, "assistant=mlp_24", "assistant.width=64")
    evidence, plan = gathered_from(session), session.plan
    assert evidence.taught_by == "Assistant mlp_24"
    assert evidence.taught_by_top1 == top1(replace(session, plan=plan.first))
    assert evidence.teacher_top1 == report_of(session)["models"]["teacher"]["top1"] != evidence.taught_by_top1


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("nst", "loss.weight=0.5,5,50"),
        ("[nst,attention_transfer]", "loss.terms.attention_transfer.weight=10,100,1000"),
        ("[kd,nst]", "temperature=1,2,4,8"),
        ("tf_kd", "seed=0,1,2"),
    ],
)
def test_what_to_sweep_next_is_the_temperature_or_else_the_weight_or_else_the_seed(
    directory, capsys, loss, words
):
    evaluate.suggest_sweep(new_session(directory, f"loss={loss}", "student=cnn_tiny"))
    assert capsys.readouterr().err.rstrip().endswith(f"-m {words}")
