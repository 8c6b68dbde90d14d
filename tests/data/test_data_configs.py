"""Every YAML under conf/data composes, names a source, and gives it arguments it takes."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from picture_files import save_picture

from distill_cli.config.targets import locate
from distill_cli.data.open import COMMON, fingerprint, open_data
from distill_cli.errors import ConfigError, DistillError

CONF = Path(__file__).parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))


def spec_of(name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose(f"data/{name}"), resolve=True)["data"]


@pytest.mark.parametrize("name", NAMES)
def test_it_names_a_source_and_arguments_the_source_takes(name):
    spec = spec_of(name)
    assert spec["name"] == name
    assert set(COMMON) <= set(spec)
    arguments = {key: value for key, value in spec.items() if key not in (*COMMON, "name", "_target_")}
    inspect.signature(locate(spec["_target_"])).bind(root=Path(), **arguments)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits"])
def test_without_its_files_it_ends_in_one_line_that_says_what_to_set(name, tmp_path, no_network):
    with pytest.raises(DistillError, match=r"set (data|paths)\.") as caught:
        open_data(spec_of(name), tmp_path)
    assert "\n" not in str(caught.value)


def test_the_digits_need_no_files(tmp_path, no_network):
    data = open_data(spec_of("digits"), tmp_path)
    assert [len(split) for split in data.splits.values()] == [1226, 142, 429]


@pytest.mark.parametrize(("name", "key"), [("folder", "path"), ("arrays", "file")])
def test_a_missing_path_says_what_to_set(name, key, tmp_path):
    with pytest.raises(ConfigError, match=rf"set data\.{key}="):
        open_data(spec_of(name), tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_mean_and_std_of_the_real_data_are_those_written_down(name, real_data, no_network):
    written = spec_of(name)
    try:
        data = open_data({**written, "validation": 0.0, "mean": None, "std": None}, real_data)
    except DistillError as error:
        pytest.skip(str(error))
    assert data.mean == pytest.approx(written["mean"], abs=1e-3)
    assert data.std == pytest.approx(written["std"], abs=1e-3)


def test_the_flowers_open(real_data, tmp_path):
    data = open_data(spec_of("flowers"), real_data, tmp_path)
    assert data.image_shape == (3, 128, 128)
    assert set(fingerprint(data)) == {"train", "validation", "test", "labels", "classes"}


def test_a_crop_can_be_typed_for_folders_and_is_in_no_key_where_there_is_none(tmp_path):
    for number in range(8):
        save_picture(tmp_path / "pets" / "ab"[number % 2] / f"{number}.png", number)
    spec = {**spec_of("folder"), "path": "pets", "size": 8}
    unsaid = {key: value for key, value in spec.items() if key != "crop"}
    assert spec["crop"] == 1
    whole, before, cut = (
        fingerprint(open_data(one, tmp_path)) for one in (spec, unsaid, {**spec, "crop": 0.5})
    )
    assert whole == before and whole["train"] != cut["train"]
