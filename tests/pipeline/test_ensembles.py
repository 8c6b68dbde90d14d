"""Several teachers as one: what each of them costs, what the student hears, and what is refused before training."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tool import distill, new_session

from distill_cli.artifacts.files import DIGEST, read_sealed_json, write_sealed_json
from distill_cli.data.batch import Batch
from distill_cli.errors import ArtifactError, ConfigError
from distill_cli.losses.averaging import Average
from distill_cli.soft_labels.encodings import open_encoding
from distill_cli.soft_labels.reader import LabelReader
from distill_cli.stages import distill as distill_stage
from distill_cli.stages import gen_soft_labels, train_teacher
from distill_cli.stages.jobs.workplace import teacher_source, train_loader

BOTH = "teacher=[cnn_tiny,mlp]"
SETTINGS = ("soft_labels=float32", "precision=fp32", "teacher.epochs=2", "student.epochs=3", "views.count=2")
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A directory with both teachers and their soft labels. Nobody changes them."""
    directory = tmp_path_factory.mktemp("ensemble")
    ready(directory, BOTH)
    return directory


def ready(directory, *words):
    session = new_session(directory, *SETTINGS, *words)
    return train_teacher.run(session), gen_soft_labels.run(session)


def student(directory, *words):
    return distill_stage.run(new_session(directory, *SETTINGS, *words)).place.directory / WEIGHTS


def apart(one: Path, other: Path) -> float:
    """The largest difference of a weight."""
    ours, theirs = load_file(one), load_file(other)
    return max((ours[name].double() - theirs[name].double()).abs().max().item() for name in ours)


def statuses(result) -> list[str]:
    return [member["status"] for member in result.document()["members"]]


def a_batch(plan, rows=slice(0, 50)) -> Batch:
    index = torch.arange(len(plan.data.train))[rows]
    return Batch(torch.empty(len(index)), torch.from_numpy(plan.data.train.labels[rows]), index, index % 2)


def rows_of(plan, batch) -> torch.Tensor:
    """What one teacher says, read by hand."""
    encoding = open_encoding(plan.config.soft_labels, len(plan.data.classes))
    return (
        LabelReader(plan.labels, encoding, torch.device("cpu"), "true", 1e9)
        .outputs(batch.index, batch.view)
        .logits
    )


def test_another_teacher_costs_one_teacher(made, tmp_path, capsys):
    directory = Path(shutil.copytree(made, tmp_path / "copy"))
    teachers, labels = ready(directory, "teacher=[cnn_tiny,mlp,mlp_24]")
    assert statuses(teachers) == statuses(labels) == ["up-to-date", "up-to-date", "built"]
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("soft labels")]
    third = [line for line in said if line.startswith("soft labels of teacher 3 of 3 (mlp_24): ")]
    assert said[2:] == third and len(third) >= 2 and ": built · " in third[-1]
    fewer, _ = ready(directory, "teacher=mlp_24")
    assert fewer.status == "up-to-date"


def test_a_teacher_alone_and_in_company_is_the_same_artefact(made):
    plans = [new_session(made, *SETTINGS, word).plan for word in (BOTH, "teacher=cnn_tiny", "teacher=mlp")]
    both, *alone = plans
    assert [member.teacher.key for member in both.members] == [plan.teacher.key for plan in alone]
    assert [member.labels.place.key for member in both.members] == [plan.labels.place.key for plan in alone]


@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_what_the_student_hears_is_the_average_of_the_stored_rows_bit_for_bit(made, of):
    plan = new_session(made, *SETTINGS, BOTH, f"teacher.average={of}", "teacher.weights=[3,1]").plan
    batch, source = a_batch(plan), teacher_source(plan, torch.device("cpu"))
    each = [rows_of(member, batch) for member in plan.members]
    assert torch.equal(source(batch).logits, Average(of, (0.75, 0.25)).logits(each))
    if of == "logits":
        assert torch.equal(source(batch).logits, 0.75 * each[0] + 0.25 * each[1])


def test_it_is_the_same_for_several_batches_at_once(made):
    plan = new_session(made, *SETTINGS, BOTH).plan
    source = teacher_source(plan, torch.device("cpu"))
    whole = source.ahead(a_batch(plan, slice(0, 300))).logits
    assert torch.equal(whole[100:170], source(a_batch(plan, slice(100, 170))).logits)


@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_the_cache_says_what_the_teachers_themselves_say(made, of):
    words = (*SETTINGS, BOTH, f"teacher.average={of}", "teacher.weights=[2,1]")
    plan, beside = (new_session(made, *words, *more).plan for more in ((), ("teacher_source=online",)))
    cached, online = (teacher_source(each, torch.device("cpu")) for each in (plan, beside))
    runtime = online.members[0].runtime
    batch = next(iter(train_loader(plan, plan.config.views, runtime).epoch(0, 0, 64)))
    assert (cached(batch).logits - online(batch).logits).abs().max() < 1e-5


def test_a_student_of_the_cache_is_that_of_the_teachers_beside_it(made):
    assert apart(student(made, BOTH), student(made, BOTH, "teacher_source=online")) < 1e-6


def test_a_teacher_without_weight_is_not_heard(made):
    assert apart(student(made, BOTH, "teacher.weights=[0,7]"), student(made, "teacher=mlp")) == 0


def test_weights_are_what_they_are_to_each_other(made):
    def key(*words):
        return new_session(made, *SETTINGS, BOTH, *words).plan.student.key

    assert key() == key("teacher.weights=[3,3]")
    assert key("teacher.weights=[2,1]") == key("teacher.weights=[4.0,2.0]") != key()
    assert key("teacher.average=probabilities") != key()


def test_a_model_named_twice_is_another_one_with_the_next_seed(made):
    plan = new_session(made, *SETTINGS, "teacher=[mlp,cnn_tiny,mlp]", "teacher.seed=4").plan
    assert [member.config.teacher.seed for member in plan.members] == [4, 4, 5]
    assert (
        plan.members[2].teacher.key
        == new_session(made, *SETTINGS, "teacher=mlp", "teacher.seed=5").plan.teacher.key
    )


def test_quantised_rows_are_averaged_and_a_part_of_the_logits_is_refused(made, tmp_path):
    directory = Path(shutil.copytree(made, tmp_path / "copy"))
    ready(directory, BOTH, "soft_labels=int8")
    assert apart(student(directory, BOTH, "soft_labels=int8"), student(directory, BOTH)) < 0.1
    with pytest.raises(ConfigError, match=r"soft_labels=top_k.*averaged; use float16"):
        new_session(made, *SETTINGS, BOTH, "soft_labels=top_k")
    assert new_session(made, *SETTINGS, BOTH, "soft_labels=top_k", "teacher_source=online").plan.average


def test_results_of_several_have_figures_and_name_each(made):
    teachers, labels = (result.document() for result in ready(made, BOTH))
    each = [member["metrics"] for member in teachers["members"]]
    assert teachers["artifact"] is None and [m["name"].split("-")[0] for m in teachers["members"]] == [
        "cnn_tiny",
        "mlp",
    ]
    assert teachers["metrics"]["parameters"] == sum(metrics["parameters"] for metrics in each)
    mean = sum(metrics["validation_top1"] for metrics in each) / 2
    assert teachers["metrics"]["validation_top1"] == pytest.approx(mean)
    assert (
        labels["metrics"]["views"] == 2
        and labels["metrics"]["shards"] == 2 * labels["members"][0]["metrics"]["shards"]
    )
    assert labels["inputs"] == {
        f"train-teacher-{number}": member["key"] for number, member in enumerate(teachers["members"], 1)
    }


@pytest.fixture(scope="module")
def trained(made) -> list[Path]:
    """The weights of both teachers, in their artefacts."""
    plan = new_session(made, *SETTINGS, BOTH).plan
    return [member.teacher.directory / WEIGHTS for member in plan.members]


def test_each_teacher_may_have_a_checkpoint(made, trained, tmp_path):
    files = f"teacher.checkpoint=[{trained[0]},{trained[1]}]"
    teachers, _ = ready(tmp_path, BOTH, files)
    assert [member["metrics"]["test_top1"] for member in teachers.document()["members"]] == [
        member["metrics"]["test_top1"] for member in ready(made, BOTH)[0].document()["members"]
    ]
    assert apart(student(tmp_path, BOTH, files), student(made, BOTH)) < 1e-6


def test_one_of_them_may_have_a_checkpoint(trained, tmp_path):
    plan = new_session(tmp_path, *SETTINGS, BOTH, f"teacher.checkpoint=[null,{trained[1]}]").plan
    assert ["checkpoint" in member.teacher.identity for member in plan.members] == [False, True]
    assert (
        plan.members[0].teacher.key == new_session(tmp_path, *SETTINGS, "teacher=cnn_tiny").plan.teacher.key
    )


def test_a_list_of_one_checkpoint_is_that_checkpoint(trained, tmp_path):
    several, one = (
        new_session(tmp_path, *SETTINGS, "teacher=mlp", f"teacher.checkpoint={value}").plan
        for value in (f"[{trained[1]}]", trained[1])
    )
    assert several.teacher.key == one.teacher.key and several.student.key == one.student.key


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((BOTH, "teacher.checkpoint=A"), r"names 1 for 2 teachers .*\[A.safetensors,B.safetensors\]"),
        (("teacher.checkpoint=[A,B]",), r"names 2 for one teacher .*\[A.safetensors\]"),
        (("teacher.checkpoint=5",), r"teacher.checkpoint=5: must be a .safetensors file"),
        (("teacher.checkpoint={a:b}",), r"must be a .safetensors file"),
        ((BOTH, "teacher.checkpoint=[A,[B]]"), r"must be a .safetensors file"),
        (("teacher.weights=[1]",), r"teacher.weights=\[1\]: is for several teachers"),
        ((BOTH, "teacher.weights=[0,0]"), r"must be 2 numbers from 0, not all 0: \[1,1\]"),
        ((BOTH, "teacher.weights=[1,2,3]"), r"must be 2 numbers"),
        ((BOTH, "teacher.weights=[-1,2]"), r"must be 2 numbers"),
        ((BOTH, "teacher.weights=[true,1]"), r"must be 2 numbers"),
        ((BOTH, "teacher.weights=[inf,1]"), r"must be 2 numbers"),
        ((BOTH, "teacher.weights=2"), r"must be 2 numbers"),
        ((BOTH, "teacher.average=mean"), r"teacher.average=mean: must be one of logits, probabilities"),
        (
            (BOTH, "loss=rkd"),
            r"loss=rkd needs the embedding of one teacher; teacher=cnn_tiny\+mlp are several",
        ),
    ],
)
def test_what_means_nothing_is_one_line(tmp_path, words, said):
    with pytest.raises(ConfigError, match=said) as found:
        new_session(tmp_path, *words)
    assert "\n" not in str(found.value)


def relabelled(directory: Path, place: Path, classes: list[str]) -> Path:
    """The artefact of a teacher of other classes."""
    copy = Path(shutil.copytree(place.parent, directory / "other"))
    manifest = read_sealed_json(copy / "artifact.json")
    manifest["data"]["classes"] = classes
    write_sealed_json(
        copy / "artifact.json", {key: value for key, value in manifest.items() if key != DIGEST}
    )
    return copy / WEIGHTS


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (
            [*"abcdefghij"],
            "has other classes, a, b, c, d, e and 5 more; those here are 0, 1, 2, 3, 4 and 5 more",
        ),
        ([*"1023456789"], "has the same classes in another order: class 0 is 1, here 0"),
        ([*"012"], "has other classes, 0, 1, 2; those here are"),
    ],
)
@pytest.mark.parametrize("company", [False, True], ids=["alone", "in company"])
def test_a_teacher_of_other_classes_is_refused_where_its_artefact_says_so(
    tmp_path, trained, classes, said, company
):
    file = relabelled(tmp_path, trained[1], classes)
    words = (
        (BOTH, f"teacher.checkpoint=[null,{file}]")
        if company
        else ("teacher=mlp", f"teacher.checkpoint={file}")
    )
    with pytest.raises(ArtifactError, match=said):
        new_session(tmp_path, *SETTINGS, *words)


def trained_first(session):
    train_teacher.run(session)


def rehearsed(session):
    """The first thing that `distill run` does."""
    from distill_cli.stages.jobs.rehearse import rehearse

    rehearse(session.plan)


@pytest.mark.parametrize("stage", [trained_first, rehearsed])
def test_a_checkpoint_of_fewer_classes_is_refused_before_its_company_is_trained(tmp_path, trained, stage):
    weights = load_file(trained[1])
    classifier = list(weights)[-1].rpartition(".")[0]
    cut = {
        name: value[:7].clone() if name.startswith(classifier) else value for name, value in weights.items()
    }
    save_file(cut, tmp_path / "seven.safetensors")
    files = f"teacher.checkpoint=[null,{tmp_path / 'seven.safetensors'}]"
    with pytest.raises(ArtifactError, match="has 7 classes, the data set has 10"):
        stage(new_session(tmp_path, *SETTINGS, BOTH, files))
    assert not list((tmp_path / "artifacts").glob("teachers/*"))


def test_a_directory_is_no_checkpoint_and_the_file_in_it_is_named(tmp_path, trained):
    with pytest.raises(ConfigError, match=rf"is a directory; name a file: {trained[0]}"):
        new_session(tmp_path, "teacher=cnn_tiny", f"teacher.checkpoint={trained[0].parent}")


def test_a_sweep_over_teachers_and_lists_of_them_can_be_typed_again(tmp_path):
    swept = ("-m", "teacher=mlp_24,[mlp_24,mlp]", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    done = distill("train-teacher", *swept, "teacher.epochs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("outputs/*/*/*/result.json"))]
    assert [result["command"].split()[2] for result in results] == ["teacher=mlp_24", "teacher=mlp_24+mlp"]
    assert results[1]["members"][0]["key"] == results[0]["key"]
    again = distill(*results[1]["command"].split()[1:], cwd=tmp_path)
    assert again.returncode == 0 and again.stderr.count("teacher: up-to-date") == 2
