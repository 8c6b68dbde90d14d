"""What the documentation shows is true: commands compose, code runs, files are there, every option is named."""

import json
import re
import shlex
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict
from safetensors.torch import load_file
from torch import nn

from distill_cli import errors
from distill_cli.artifacts.store import Place
from distill_cli.config.overrides import as_hydra
from distill_cli.config.schema import Config
from distill_cli.config.targets import instantiate, locate
from distill_cli.data.loader import Loader
from distill_cli.data.open import open_data
from distill_cli.data.splits import ArraySplit, DataSet
from distill_cli.data.views.views import open_views
from distill_cli.hydra_app.arguments import Arguments
from distill_cli.hydra_app.combinations import combined
from distill_cli.hydra_app.composition import config_dir, config_loader, user_config
from distill_cli.hydra_app.losses import Method
from distill_cli.losses.outputs import Outputs
from distill_cli.models.build import build_model
from distill_cli.plan import Plan
from distill_cli.runtime.device import resolve
from distill_cli.soft_labels.encodings import Dense
from distill_cli.soft_labels.label_set import LOGITS, LabelSet
from distill_cli.soft_labels.writer import Labeller
from distill_cli.stages import distill, train_teacher
from distill_cli.stages.session import Session

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
VERBS = ("train-teacher", "gen-soft-labels", "distill", "evaluate", "run", "export", "lock")
FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, file name (empty where the block is no file) and text of each block of code."""
    return FENCE.findall(page.read_text(encoding="utf-8"))


def commands() -> list[str]:
    """Every `distill VERB …` that a reader might type, once."""
    texts = [
        text.replace("\\\n", " ") for page in PAGES for language, _, text in blocks(page) if language == "sh"
    ]
    found = [
        re.search(rf"\bdistill(?:-cli)? (?:{'|'.join(VERBS)})\b.*", line)
        for t in texts
        for line in t.splitlines()
    ]
    return sorted({match[0] for match in found if match})


@pytest.fixture
def beside_the_files_shown(tmp_path, monkeypatch):
    """A directory that holds the files which the pages show, importable as with PYTHONPATH=. ."""
    for page in PAGES:
        for _, name, text in blocks(page):
            if name:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def jobs_of(arguments: Arguments) -> list[list[str]]:
    """The overrides of each job: several, where it is a sweep, but not of seeds, which compose alike."""
    overrides = [as_hydra(combined(word)) for word in arguments.overrides]
    if not {"-m", "--multirun"} & set(arguments.flags):
        return [overrides]
    (batch,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(overrides), None)
    return list({tuple(w for w in job if not w.startswith("seed=")): job for job in batch}.values())


def compose(words: list[str]) -> list[Config]:
    """What a command line means, job by job."""
    arguments = Arguments.parse(words)
    assert not arguments.bare, arguments.bare
    configs = []
    with user_config(arguments.config_dir), config_loader() as loader:
        for overrides in jobs_of(arguments):
            composed = loader.load_configuration("config", overrides, RunMode.RUN)
            with open_dict(composed):
                del composed["hydra"]
            configs.append(OmegaConf.to_object(composed))
    return configs


def test_there_are_commands_to_test():
    assert len(commands()) > 20


@pytest.mark.parametrize("command", commands())
def test_every_command_shown_composes_to_possible_values(command, beside_the_files_shown):
    _, _, *words = shlex.split(command, comments=True)
    for config in compose(words):
        for spec in (config.teacher.model, config.student.model, config.loss, config.views, config.data):
            for part in (spec.get("terms") or spec.get("members") or {"": spec}).values():
                if not part["_target_"].startswith("timm."):
                    locate(part["_target_"])
        instantiate(config.temperature_schedule)
        instantiate(config.alpha_schedule)


def test_the_model_loss_data_and_views_shown_work_together(beside_the_files_shown):
    words = ["--config-dir", "my", "data=noise", "student=tiny", "loss=logit_cosine", "views=randaugment"]
    (config,) = compose(words)
    data = open_data(config.data, Path("data"))
    facts = {"num_classes": len(data.classes), "image_shape": data.image_shape}
    model = build_model(config.student.model, **facts, seed=0)
    loader = Loader(
        data.train, data, torch.device("cpu"), open_views(config.views, data.image_shape[1:]), workers=0
    )
    batch = next(loader.view(np.arange(8), np.zeros(8, np.int64), 8))
    outputs = Outputs(model(batch.inputs))
    assert instantiate(config.loss)(outputs, outputs, batch.labels, 4.0).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "words", [["loss=hellinger", "teacher=mlp"], ["loss=channelwise", "student=cnn_tiny"]]
)
def test_the_losses_of_the_page_on_adding_one_train_a_student(words, beside_the_files_shown):
    quick = ["teacher.epochs=5", "student.epochs=5", "teacher_source=online"]
    (config,) = compose(["--config-dir", "my", *quick, *words])
    session = Session(Plan(config, open_data(config.data, Path("data"))))
    train_teacher.run(session)
    student = distill.run(session)
    assert student.metrics["test_top1"] > 0.5
    names = load_file(student.place.directory / "model.safetensors")
    assert names and not [name for name in names if "connector" in name]


def test_the_tests_of_the_page_on_adding_a_loss_pass(beside_the_files_shown):
    module = import_module("test_hellinger")
    tests = [function for name, function in vars(module).items() if name.startswith("test_")]
    assert len(tests) == 5
    for test in tests:
        test()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_linked_to_exists(page):
    targets = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in targets if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("group", sorted(path.name for path in config_dir().iterdir() if path.is_dir()))
def test_every_option_of_every_group_is_named_in_the_page_on_config(group):
    words = set(re.findall(r"`([\w.]+)`", (ROOT / "docs/config.md").read_text(encoding="utf-8")))
    options = {path.stem for path in (config_dir() / group).glob("*.yaml")}
    assert options - words == set()


def test_the_page_on_methods_says_of_each_loss_what_its_yaml_says():
    page = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    found = [path.stem for path in (config_dir() / "loss").glob("*.yaml")]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert sorted(name for name, *_ in rows) == sorted(found)
    for name, needs, weights, paper in rows:
        method = Method.of(config_dir() / f"loss/{name}.yaml", None)
        own = re.sub(" +", " ", method.weights).strip().replace("alpha", "1 − alpha : alpha")
        assert (needs, weights) == (method.needs, own)
        assert re.sub(r"\[(.+?)\]\(.+?\)", r"\1", paper) == method.paper
        assert f"\n**`{name}`**: " in page


def test_the_readme_names_every_exit_code():
    codes = {kind.exit_code for kind in vars(errors).values() if getattr(kind, "exit_code", None) is not None}
    table = {
        int(code)
        for code in re.findall(
            r"^\| (\d+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert {0, 130, 143} | codes <= table


def pictures(samples: int, seed: int) -> ArraySplit:
    images = np.random.default_rng(seed).integers(0, 256, (samples, 1, 6, 6), dtype=np.uint8)
    return ArraySplit(images, np.arange(samples) % 3)


class Teacher(nn.Module):
    def forward(self, inputs):
        return inputs[:, 0, 1:4, 2]


@pytest.fixture
def label_set(tmp_path) -> LabelSet:
    """20 training samples in 2 views, in blocks of 8."""
    splits = (pictures(20, 0), pictures(5, 1), pictures(7, 2))
    data = DataSet("toy", ("a", "b", "c"), (0.5,), (0.25,), (1, 6, 6), *splits)
    labels = LabelSet(
        Place(tmp_path, "soft_labels", "toy", {"teacher": "t"}), data, views=2, block=8, mixes=False
    )
    recipe = {"_target_": "distill_cli.data.views.recipes.Shift", "pixels": 1, "seed": 0, "count": 2}
    cpu = resolve("cpu", "fp32", "false")
    labeller = Labeller(Teacher().eval(), Dense("float32", 3), cpu, 4, lambda samples: None)
    labels.write_identity()
    loaders = {name: Loader(data.splits[name], data, cpu.device) for name in ("validation", "test")}
    loaders["train"] = Loader(data.train, data, cpu.device, open_views(recipe, (6, 6)))
    for block in labels.blocks():
        labeller.label(block, [LOGITS], loaders[block.split]).write()
    return labels


@pytest.fixture(scope="module")
def read_view():
    """The reader of docs/soft-label-format.md, as it stands there."""
    (code,) = [
        text for language, _, text in blocks(ROOT / "docs/soft-label-format.md") if language == "python"
    ]
    names: dict = {}
    exec(compile(code, "docs/soft-label-format.md", "exec"), names)
    return names["read_view"]


def test_the_reader_shown_reads_what_is_written(label_set, read_view):
    for view in range(2):
        files = [block.shard(LOGITS).path for block in label_set.train() if block.view == view]
        rows = read_view(label_set.place.directory, "train", view)
        np.testing.assert_array_equal(rows, np.concatenate([np.load(path) for path in files]))
        assert rows.shape == (20, 3)
    assert read_view(label_set.place.directory, "validation").shape == (5, 3)
    assert read_view(label_set.place.directory, "test").shape == (7, 3)


def test_the_reader_shown_has_no_more_than_30_lines():
    (code,) = [
        text for language, _, text in blocks(ROOT / "docs/soft-label-format.md") if language == "python"
    ]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30


def flip(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda block: flip(block), "is corrupt"),
        (lambda block: block.write_bytes(block.read_bytes()[:-4]), "is corrupt"),
        (lambda block: block.with_suffix(".json").unlink(), "No such file"),
        (lambda block: swap(block, block.with_name("block-00000.npy")), "not what its name says"),
        (lambda block: flip(block.with_suffix(".json"), 40), "is damaged|Expecting|Invalid"),
        (lambda block: flip(block.parents[2] / "labels.json", 40), "is damaged|Expecting|Invalid"),
    ],
    ids=["flipped bit", "cut", "no seal", "another block", "seal", "labels.json"],
)
def test_the_reader_shown_refuses_what_is_damaged(label_set, read_view, damage, complaint):
    damage(label_set.place.directory / "train/view-001/block-00001.npy")
    with pytest.raises((ValueError, FileNotFoundError), match=complaint):
        read_view(label_set.place.directory, "train", 1)


def swap(block: Path, other: Path) -> None:
    for suffix in (".npy", ".json"):
        block.with_suffix(suffix).write_bytes(other.with_suffix(suffix).read_bytes())


def test_the_digests_are_what_the_page_on_the_format_says(label_set):
    pixels = label_set.data.train.images[8:16]
    seal = json.loads((label_set.place.directory / "train/view-000/block-00001.json").read_text())
    assert seal["samples"] == sha256(b"(8, 1, 6, 6)" + pixels.tobytes()).hexdigest()
    mixing = LabelSet(label_set.place, label_set.data, views=1, block=8, mixes=True)
    plain = [block.samples for block in label_set.train()][:3]
    whole = sha256("".join(plain).encode()).hexdigest()
    assert [block.samples for block in mixing.train()] == [
        sha256((whole + own).encode()).hexdigest() for own in plain
    ]


def test_the_seal_has_the_fields_that_the_page_on_the_format_names(label_set):
    seal = json.loads((label_set.place.directory / "test/clean/block-00000.json").read_text())
    page = (
        (ROOT / "docs/soft-label-format.md")
        .read_text(encoding="utf-8")
        .partition("## Seals")[2]
        .partition("\n## ")[0]
    )
    rows = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == seal.keys()
