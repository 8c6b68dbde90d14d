"""Students that learn from each other, as the tool trains and keeps them: one artefact, a file for each."""

import json
from contextlib import contextmanager

import pytest
import torch
from tool import contents, new_session

from distill_cli import load_model
from distill_cli.errors import ArtifactError, ConfigError, Interrupted
from distill_cli.runtime.signals import StopRequest
from distill_cli.stages import distill, evaluate, train_teacher
from distill_cli.stages.jobs import train
from distill_cli.stages.jobs.peers import with_peers
from distill_cli.stages.jobs.workplace import new_model

QUICK = (
    "teacher=mlp",
    "teacher.epochs=3",
    "student.epochs=6",
    "views=shift",
    "views.mixing=none",
    "evaluate.latency=false",
    "evaluate.pictures=0",
)
THREE = (*QUICK, "peers=[mlp_24,cnn_tiny]", "temperature=1", "alpha=0.5")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    session = new_session(tmp_path_factory.mktemp("peers"), *THREE)
    return session, distill.run(session)


def test_the_artefact_is_the_student_with_its_peers_beside_it(made):
    session, result = made
    directory, classes = result.place.directory, session.plan.data.classes
    assert {path.name for path in directory.glob("*.safetensors")} == {
        "model.safetensors",
        "peer-1.safetensors",
        "peer-2.safetensors",
    }
    manifest = json.loads((directory / "artifact.json").read_text())
    assert [peer["name"] for peer in manifest["peers"]] == ["mlp_24", "cnn_tiny"]
    assert manifest["metrics"]["parameters"] == sum(p.numel() for p in load_model(directory).parameters())
    pictures = torch.zeros(2, *session.plan.data.image_shape)
    assert load_model(directory / "peer-2.safetensors")(pictures).shape == (2, len(classes))


@pytest.mark.parametrize(("file", "figure"), [("model", "test_top1"), ("peer-2", "peer_2_test_top1")])
def test_each_has_its_figures(made, file, figure):
    session, result = made
    model, data = load_model(result.place.directory / f"{file}.safetensors"), session.plan.data
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    pictures = (torch.from_numpy(data.test.images).float() / 255 - mean) / std
    found = model(pictures).argmax(1).eq(torch.from_numpy(data.test.labels)).double().mean().item()
    assert result.metrics[figure] == pytest.approx(found, abs=0.003)  # bf16, where that is what auto comes to
    assert found > 0.5


def test_the_history_has_what_each_learned_from(made):
    _, result = made
    history = json.loads((result.place.directory / "history.json").read_text())
    assert {"hard", "soft", "peer_1_hard", "peer_2_soft", "validation_top1"} <= history[-1].keys()
    assert history[-1]["peer_2_hard"] < history[0]["peer_2_hard"]


def test_a_file_that_is_no_model_of_the_artefact_is_refused_with_those_that_are(made):
    directory = made[1].place.directory
    with pytest.raises(ArtifactError, match=r"no such model; .* has model.safetensors, peer-1"):
        load_model(directory / "peer-3.safetensors")


def test_no_two_of_the_same_architecture_begin_alike_and_the_student_as_it_would_alone(session):
    plan = session(*QUICK, "student=mlp_24", "peers=[mlp_24,mlp_24]").plan
    alone = new_model(plan, plan.config.student.model, plan.config.student.seed)
    together = with_peers(plan, alone)
    first = [next(member.parameters()) for member in together.members]
    assert together.members[0] is alone
    assert not any(torch.equal(first[a], first[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_one_that_was_stopped_ends_with_the_same_bytes(made, session, monkeypatch):
    class Soon(StopRequest):
        looks = 0

        def __bool__(self) -> bool:
            self.looks += 1
            self.exit_code = 143 if self.looks == 50 else None
            return self.exit_code is not None

    @contextmanager
    def stopping():
        yield Soon()

    with monkeypatch.context() as patch:
        patch.setattr(train, "graceful", stopping)
        with pytest.raises(Interrupted):
            distill.run(session(*THREE))
    again = distill.run(session(*THREE))
    assert again.status == "resumed"
    assert contents(again.place.directory) == contents(made[1].place.directory)


def test_a_second_time_there_is_nothing_to_do_and_other_peers_are_another_student(made, session):
    first, result = made
    assert distill.run(first).status == "up-to-date"
    keys = {session(*QUICK, *words).plan.student.key for words in ([], ["peers=mlp_24"], ["peers=cnn_tiny"])}
    assert len(keys) == 3 and result.place.key not in keys


def test_a_whole_run_reports_student_baseline_and_teacher(made):
    session, _ = made
    train_teacher.run(session)
    baseline, report = distill.run_baseline(session), evaluate.run(session)
    assert baseline.place.key != session.plan.student.key
    models = json.loads((report.place.directory / "report.json").read_text())["models"]
    assert all(models[role]["top1"] > 0.3 for role in ("teacher", "student", "baseline"))


def test_without_a_soft_loss_peers_change_nothing(session):
    alone, with_peer = session(*QUICK, "alpha=0"), session(*QUICK, "alpha=0", "peers=mlp_24")
    assert alone.plan.student.key == with_peer.plan.student.key


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["loss=rkd"], r"peers=mlp_24: learn from each other's logits; loss=rkd needs something else"),
        (["loss=fitnets"], r"loss=fitnets needs something else, use a loss such as kd"),
        (["loss=self_distillation"], r"loss=self_distillation needs something else"),
        (["generations=2"], r"peers=mlp_24: learn from each other; assistant and generations mean nothing"),
        (["assistant=mlp"], r"assistant and generations mean nothing then, leave them out"),
        (["teacher_filter=drop"], r"teacher_filter=drop: peers learn from no teacher; leave the filter out"),
    ],
)
def test_what_peers_cannot_do_is_refused_in_one_line(session, words, complaint):
    with pytest.raises(ConfigError, match=complaint) as refused:
        session(*QUICK, "peers=mlp_24", *words)
    assert "\n" not in str(refused.value)
