"""The experiments for ImageNet on a folder of its shape: `distill run`, made small and otherwise as it is."""

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "models"))  # for `published_weights`

from published_weights import publish
from tool import new_session

from distill_cli.errors import ConfigError
from distill_cli.hydra_app.launch import run
from distill_cli.models.build import build_model
from distill_cli.models.cost import count_parameters

WNIDS = ("n01440764", "n02102040", "n03000684", "n03417042")
SMALL = (
    *("data.size=32", "views.count=2", "student.epochs=1", "student.batch_size=16", "trainer.workers=0"),
    *("device=cpu", "evaluate.latency=false", "evaluate.diagnosis=0", "evaluate.pictures=0"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """`imagenet/{train,val}/<wnid>/*.JPEG`, pictures of many sizes."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for part, each in (("train", 12), ("val", 4)):
        for wnid in WNIDS:
            (root / "imagenet" / part / wnid).mkdir(parents=True)
            for number in range(each):
                height, width = random.integers(40, 120, 2)
                pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                name = f"{wnid}_{number}.JPEG" if part == "train" else f"ILSVRC2012_val_{number:08}.JPEG"
                Image.fromarray(pixels).save(root / "imagenet" / part / wnid / name, format="JPEG")
    return root


def ran(directory: Path, *words: str) -> dict:
    output = directory / "out"
    handlers = logging.getLogger().handlers[:]
    code = run("run", [*words, f"paths.artifacts={directory / 'artifacts'}", f"hydra.run.dir={output}"])
    for handler in set(logging.getLogger().handlers) - set(handlers):  # Hydra leaves its file open
        handler.close()
    logging.getLogger().handlers[:] = handlers
    assert code == 0, (output / "error.json").read_text()
    return json.loads((output / "result.json").read_text())


def artefact(result: dict, verb: str) -> dict:
    return json.loads((Path(result["stages"][verb]["artifact"]) / "artifact.json").read_text())


def test_the_usual_pair_runs_with_a_teacher_that_nobody_trains(tmp_path, data, monkeypatch):
    publish(monkeypatch, tmp_path, "resnet34", classes=len(WNIDS))
    found = ran(tmp_path, "experiment=imagenet_r34_r18", f"paths.data={data}", *SMALL)
    teacher, student = artefact(found, "train-teacher"), artefact(found, "distill")
    assert teacher["identity"]["checkpoint"] == "pretrained"
    assert teacher["identity"]["model"]["weights"] == "IMAGENET1K_V1"
    assert teacher["data"]["classes"] == list(WNIDS)
    assert student["identity"]["recipe"]["lr_schedule"]["milestones"] == [30, 60, 90]
    assert found["stages"]["evaluate"]["models"].keys() == {"teacher", "student", "baseline"}
    views = Path(found["stages"]["gen-soft-labels"]["artifact"], "train")
    assert sum(file.stat().st_size for file in views.rglob("*.npy")) >= 2 * 48 * len(WNIDS) * 2


@pytest.mark.filterwarnings("ignore")  # timm's own
def test_the_patient_student_learns_from_mixed_views_alone(tmp_path, data, monkeypatch):
    timm, builder = pytest.importorskip("timm"), pytest.importorskip("timm.models._builder")
    weights = timm.create_model("test_resnet", num_classes=len(WNIDS)).state_dict()
    monkeypatch.setattr(builder, "load_state_dict_from_hf", lambda *_, **__: weights)
    smaller = (
        "teacher.model.model_name=test_resnet",  # the paper's has 236 million parameters
        f"+teacher.model.pretrained_cfg_overlay={{num_classes: {len(WNIDS)}}}",
        "student=resnet18",
        "data.validation=0.1",
    )
    found = ran(tmp_path, "experiment=imagenet_patient", f"paths.data={data}", *SMALL, *smaller)
    student = artefact(found, "distill")["identity"]
    assert student["distillation"]["alpha"]["start"] == 1.0
    assert student["distillation"]["temperature"]["start"] == 1.0
    assert student["views"]["mixing"]["beta"] == 1.0
    assert artefact(found, "train-teacher")["identity"]["checkpoint"] == "pretrained"


def test_the_networks_have_the_parameters_of_the_literature(tmp_path, data):
    pair, patient = (
        new_session(tmp_path, f"experiment={name}", f"paths.data={data}").plan.config
        for name in ("imagenet_r34_r18", "imagenet_patient")
    )
    for spec, parameters in (
        (pair.teacher.model, 21_797_672),
        (pair.student.model, 11_689_512),
        (patient.student.model, 25_557_032),
    ):
        model = build_model(spec, num_classes=1000, image_shape=(3, 64, 64), seed=0, pretrained=False)
        assert count_parameters(model) == parameters


def test_the_teacher_is_known_before_anything_is_fetched_and_by_its_name(tmp_path, data):
    words = ("experiment=imagenet_r34_r18", f"paths.data={data}")
    teacher = new_session(tmp_path, *words).plan.teacher.key
    assert (
        teacher == new_session(tmp_path, *words, "data.validation=0.5", "teacher.epochs=3").plan.teacher.key
    )
    assert teacher != new_session(tmp_path, *words, "teacher.model.weights=OTHER").plan.teacher.key
    assert teacher != new_session(tmp_path, *words, "data.size=48").plan.teacher.key


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("teacher.model.weights=null", r"set teacher\.model\.weights=IMAGENET1K_V1"),
        ("teacher.checkpoint=published", "there is no such file"),
        (
            "data.channels=1 data.mean=0.5 data.std=0.5",
            r"checkpoint=pretrained: is for pictures in colour; leave",
        ),
        (
            "teacher=timm_resnet18 +teacher.model.checkpoint_path=F",
            r"set teacher\.checkpoint=FILE\.safetensors",
        ),
    ],
)
def test_a_teacher_that_cannot_be_as_published_is_refused_before_torch(tmp_path, data, word, remedy):
    with pytest.raises(ConfigError, match=remedy):
        new_session(tmp_path, "experiment=imagenet_r34_r18", f"paths.data={data}", *word.split())


def test_a_published_teacher_must_see_pictures_as_it_did_before(tmp_path, data, monkeypatch):
    from distill_cli.stages import train_teacher

    publish(monkeypatch, tmp_path, "resnet34", classes=len(WNIDS))
    words = ("experiment=imagenet_r34_r18", f"paths.data={data}", *SMALL, "data.mean=[0.5,0.5,0.5]")
    with pytest.raises(ConfigError, match=r"set data\.mean=\[0\.485,0\.456,0\.406\] data\.std="):
        train_teacher.run(new_session(tmp_path, *words))


def test_a_trained_teacher_may_start_from_published_weights_of_other_classes(tmp_path, data, monkeypatch):
    from distill_cli.stages import train_teacher

    publish(monkeypatch, tmp_path, "shufflenet_v2_x0_5")
    words = ("teacher.checkpoint=null", "teacher.model._target_=torchvision.models.shufflenet_v2_x0_5")
    session = new_session(
        tmp_path, "experiment=imagenet_r34_r18", f"paths.data={data}", *SMALL, *words, "teacher.epochs=1"
    )
    assert train_teacher.run(session).metrics["parameters"] == 345_892  # 1,366,792 with 1,000 classes
