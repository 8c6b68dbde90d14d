"""What users get wrong about losses: one line, before anything is trained; and what only looks wrong."""

import math
from dataclasses import replace

import pytest
from tool import new_session

from distill_cli.config.overrides import as_hydra
from distill_cli.hydra_app.combinations import combined
from distill_cli.hydra_app.composition import config_dir
from distill_cli.hydra_app.verdict import judge
from distill_cli.stages import distill, gen_soft_labels, train_teacher
from distill_cli.stages.jobs.rehearse import rehearse

CNN = "student=cnn_tiny"  # which has maps, as its teacher has
LINEAR = "{_target_:distill_cli.schedules.Linear,start:0.0,end:-1.0}"

REFUSED = {
    # who is asked, and for what
    "loss=fitnets teacher_source=cached": "not stored; use teacher_source=online",
    "loss=kd loss.needs=wrong": "must be one of labels, logits, embedding, features, previous",
    "loss=kd loss.needs=logit": "did you mean logits?",
    "loss=rkd teacher=[cnn_digits,cnn_tiny]": "loss=rkd needs the embedding of one teacher",
    f"loss=fitnets {CNN} teacher=[cnn_digits,cnn_tiny]": "loss=fitnets needs the features of one teacher",
    "loss=rkd student=column_sums": "the student has no linear layer to take an embedding from",
    "loss=rkd teacher=column_sums": "the teacher has no linear layer to take an embedding from",
    "loss=simkd teacher=column_sums": "the teacher has no linear classifier",
    "loss=lwf": "set student.init=",
    f"loss=attention_transfer {CNN} loss.power=0": "loss: power=0: must be",
    "teacher_filter=drop teacher_filter.least_confidence=2": "teacher_filter: least_confidence=2 must be",
    "temperature_schedule=learned temperature=40": "temperature_schedule: start=40 must lie between",
    "loss=lskd loss@loss.of=lskd": "loss.of=lskd: lskd within itself; choose another loss, such as kd",
    f"loss=fitnets {CNN} compile=true": "use compile=auto",
    "loss=dkd soft_labels=top_k soft_labels.k=3": "needs all logits, soft_labels=top_k keeps 3",
    "temperature_schedule=learned soft_labels=top_k soft_labels.k=3": "a learned temperature needs all logits",
    "temperature_schedule=learned_per_sample soft_labels=top_k soft_labels.k=3": "temperature needs all logits",
    "temperature_schedule=learned loss=tf_kd": "loss=tf_kd does not use the temperature; leave it out",
    "temperature_schedule=learned loss=lwf": "loss=lwf does not use the temperature; leave it out",
    "temperature_schedule=learned loss=lwf ~loss.temperature": "loss=lwf has no teacher to learn it from",
    # samples that are remembered
    "loss=crd": "loss=crd remembers each sample by itself, which a mixture is not; set views.mixing=none",
    "loss=[kd,crd] views.mixing=cutmix": "loss=crd remembers each sample by itself",
    "loss=self_distillation": "loss=self_distillation remembers each sample by itself",
    "loss=crd views.mixing=none teacher_filter=downweight": "weight=0.5 calls loss=crd twice a step",
    f"loss=[kd,fitnets] {CNN} teacher_filter=downweight": "calls loss=fitnets twice a step",
    # layers
    f"loss=fitnets {CNN} loss.layers=[[stages.9,stages]]": "the student has no layer 'stages.9'; ",
    f"loss=fitnets {CNN} loss.layers=[[stages,stagse]]": "no layer 'stagse'; did you mean 'stages'?",
    f"loss=fitnets {CNN} loss.layers=[[fc,stages]]": "the student has units (batch, 10), the teacher maps",
    f"loss=attention_transfer {CNN} loss.layers=[[fc,fc]]": "compares positions in maps, and in pair 1",
    "loss=fitnets": "the student has units (batch, 24), the teacher maps",
    f"loss=fitnets {CNN} loss.layers=stages": "must be pairs of the student's and the teacher's",
    f"loss=fitnets {CNN} loss.layers=[stages,stages]": "must be pairs",
    f"loss=fitnets {CNN} loss.layers=[[stages]]": "must be pairs",
    f"loss=fitnets {CNN} loss.layers=[]": "must be pairs",
    # weights, and what else its YAML says
    "loss=dkd loss.weight=-1": "loss.weight=-1: must be a number from 0",
    "loss=dkd loss.weight=abc": "loss.weight=abc: must be a number",
    "loss=dkd loss.weight=nan": "loss.weight=nan: must be a number",
    "loss=dkd loss.hard_weight=inf": "loss.hard_weight=inf: must be a number",
    "loss=kd +loss.hard_weight=2": "kd goes by alpha",
    "loss=[kd,dkd] loss.hard_weight=2": "kd goes by alpha",
    "loss=[simkd,rkd]": "loss=rkd+simkd: hard weights differ (rkd 1, simkd 0); set loss.hard_weight",
    "loss=rkd temperature_schedule=learned": "=learned: loss=rkd does not use the temperature; leave it out",
    "loss=tf_kd temperature_schedule=learned_per_sample": "=learned_per_sample: loss=tf_kd does not use the",
    "loss=[kd,dkd] loss.terms.dkd.weight=-1": "loss.terms.dkd.weight=-1: must be a number",
    "loss=dkd loss.weight_schedule=linear": "must be a schedule, such as {_target_: ",
    "loss=dkd loss.weight_schedule.end=-1": "weight_schedule goes down to -1",
    f"loss=[kd,dkd] loss.terms.kd.weight_schedule={LINEAR}": "loss=kd: its weight_schedule goes down to -",
    "loss=kd +loss.weight_schedule={_target_:distill_cli.schedules.Constant,start:2}": "1 is the most for a loss",
    "loss=mlkd loss.views=3": "loss.views=3: must be 1 or 2",
    "loss=ofd loss.preactivation=maybe": "must be true or false",
    # losses in losses
    "loss=[kd,atention_transfer]": "loss=atention_transfer: there is no loss 'atention_transfer'; did you mean",
    "loss=lskd loss.of=dkdd": "there is no loss 'dkdd'; did you mean 'dkd'?",
    "loss=lskd loss.of=rkd": "rkd needs embedding; choose a loss that needs logits",
    "loss=lskd loss.of=tf_kd": "tf_kd needs labels; choose a loss that needs logits",
    # losses of one's own
    "loss._target_=toy_losses.Fails": "loss=kd fails: RuntimeError: ",
    "loss._target_=toy_losses.TakesTwo": "loss=kd fails: TypeError: ",
    "loss._target_=toy_losses.OneForEachSample": "the mean over the batch; it returns shape (2,)",
    "loss._target_=toy_losses.Nothing": "it returns NoneType",
    "loss._target_=toy_losses.OfTheTeacher": "has no gradient",
    "loss._target_=toy_losses.FitsNothing": "IndexError: tuple index out of range (toy_losses.py, line ",
}


def refused(directory, *words):
    """The exit code, and the line."""
    with pytest.raises(Exception) as raised:
        rehearse(new_session(directory, *words).plan)
    verdict = judge(raised.value, [as_hydra(combined(word)) for word in words])
    return verdict.exit_code, verdict.message


@pytest.mark.parametrize("words", REFUSED)
def test_a_mistake_is_one_line_with_the_remedy_before_anything_is_made(tmp_path, words):
    code, line = refused(tmp_path, *words.split())
    assert code == 2, line
    assert REFUSED[words] in line and "\n" not in line
    assert not list(tmp_path.rglob("*.safetensors"))


ONE_BY_ONE = dict.fromkeys(("crd", "self_distillation"), ("views.mixing=none",))  # no mixtures
SHELF = sorted(path.stem for path in (config_dir() / "loss").glob("*.yaml"))


@pytest.mark.parametrize("loss", [loss for loss in SHELF if loss != "lwf"])
def test_every_loss_of_the_shelf_stands_the_rehearsal(tmp_path, loss):
    rehearse(new_session(tmp_path, f"loss={loss}", CNN, *ONE_BY_ONE.get(loss, ())).plan)


@pytest.mark.parametrize(
    "words",
    [
        ("loss=crd", "views.mixing=none", "teacher_filter=drop"),
        ("loss=[mlkd,crd]", "views.mixing=none"),
        ("loss=[kd,vid]", CNN, "teacher_filter=downweight"),
    ],
)
def test_what_goes_together_is_not_refused(tmp_path, words):
    rehearse(new_session(tmp_path, *words).plan)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A directory where a teacher of one epoch and its soft labels lie, and a session there."""
    directory = tmp_path_factory.mktemp("taught")

    def session(*words):
        quick = ("teacher.epochs=1", "student.epochs=1", "views.count=1", "soft_labels.embedding=true")
        return new_session(directory, *quick, *words)

    train_teacher.run(session())
    gen_soft_labels.run(session())
    return session


def said_about_alpha(taught, capsys, loss, *words):
    """`words` as they were typed beside `loss`."""
    session = replace(taught(f"loss={loss}", *words), words=(f"loss={loss}", *words))
    distill.run(session)
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("alpha")]


def test_who_sets_alpha_for_a_loss_that_weighs_by_itself_is_told(taught, capsys):
    (line,) = said_about_alpha(taught, capsys, "dist", "alpha=0.5")
    assert line.startswith("alpha is not used: loss=dist weighs hard 1 : soft 1 by itself")
    (line,) = said_about_alpha(taught, capsys, "lskd", "alpha_schedule=linear")
    assert line.startswith("alpha_schedule is not used: loss=lskd weighs hard 0.1 : soft 9")


def test_who_sets_alpha_to_0_for_such_a_loss_is_told_that_it_is_left_out(taught, capsys):
    (line,) = said_about_alpha(taught, capsys, "dist", "alpha=0")
    assert line.startswith(
        "alpha at 0 is the baseline: loss=dist is left out; above 0 it weighs hard 1 : soft 1"
    )
    assert said_about_alpha(taught, capsys, "kd", "alpha=0") == []


@pytest.mark.parametrize(
    ("loss", "words"), [("kd", ["alpha=0.5"]), ("nkd", []), ("dkd", ["loss.weight=null", "alpha=0.4"])]
)
def test_nothing_is_said_of_an_alpha_that_counts_or_that_nobody_set(taught, capsys, loss, words):
    assert said_about_alpha(taught, capsys, loss, *words) == []


def test_a_loss_that_is_not_finite_ends_the_training_at_once_with_the_step(taught):
    with pytest.raises(Exception) as raised:
        distill.run(taught("loss._target_=toy_losses.NeverFinite"))
    verdict = judge(raised.value)
    assert verdict.exit_code == 7
    assert "diverged at step 1 " in verdict.message


def test_a_loss_that_compares_samples_trains_in_batches_of_one(taught):
    result = distill.run(taught("loss=rkd", "student.batch_size=1"))
    assert math.isfinite(result.metrics["train_loss"])
