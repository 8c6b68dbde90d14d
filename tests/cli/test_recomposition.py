"""Composing once for all jobs: the same configs, and much sooner."""

import hydra._internal.hydra as hydra_module
import pytest
from hydra._internal import config_loader_impl, config_repository
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf

from distill_cli.hydra_app.composition import config_loader, user_config
from distill_cli.hydra_app.recomposition import composing_once

OVERRIDES = [
    ["temperature=2"],
    ["temperature=3", "seed=1"],
    ["student.epochs=7", "+student.model.more=1"],
    ["model@student.model=resnet8"],
    ["loss=logit_mse", "temperature=2"],
    ["experiment=fashion_mnist"],
    ["~experiment"],
    ["~experiment", "views=crop_flip", "mixing@views.mixing=cutmix"],
    ["temperature=2"],
    ["++teacher.model={width: 3}"],
]


def composed(loader, overrides, mode=RunMode.RUN):
    return loader.load_configuration("config", [*overrides, "hydra.job.name=x"], mode)


@pytest.fixture
def loader():
    with user_config(None), composing_once(), config_loader() as found:
        yield found


def test_a_config_is_what_hydra_alone_composes_whatever_came_before_it(loader):
    with user_config(None):
        plain_loader = config_loader_impl.ConfigLoaderImpl(loader.get_search_path())
        for overrides in OVERRIDES + OVERRIDES[::-1]:
            ours, plain = composed(loader, overrides), composed(plain_loader, overrides)
            assert OmegaConf.to_yaml(ours) == OmegaConf.to_yaml(plain), overrides
            assert shape(ours) == shape(plain), overrides


def shape(config, key=""):
    """Types and flags of each node, which no YAML shows."""
    nodes = [(key, config._metadata.object_type, config._metadata.ref_type, config._metadata.flags)]
    if OmegaConf.is_config(config) and not (config._is_none() or config._is_missing()):
        for name in config if OmegaConf.is_dict(config) else range(len(config)):
            nodes += shape(config._get_node(name), f"{key}.{name}")
    return nodes


def test_a_job_cannot_change_the_config_of_the_next(loader):
    first = composed(loader, ["temperature=2"])
    OmegaConf.set_struct(first, False)
    first.student.epochs, first.student.model.more = -1, 1
    second = composed(loader, ["temperature=2"])
    assert second.student.epochs > 0 and "more" not in second.student.model


def test_no_file_is_read_for_another_value(loader, monkeypatch):
    for value in (2, 3):  # the one that says where to look is read again after the first time
        composed(loader, [f"temperature={value}"])
    monkeypatch.setattr(
        config_repository.ConfigRepository, "load_config", lambda self, config_path: pytest.fail(config_path)
    )
    assert composed(loader, ["temperature=4", "seed=2"]).temperature == 4
    with pytest.raises(pytest.fail.Exception):
        composed(loader, ["loss=logit_mse"])


def test_a_group_that_must_be_chosen_is_still_asked_for(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "open.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /loss: ???\n"
    )
    with user_config(str(tmp_path)), composing_once(), config_loader() as loader:
        assert composed(loader, ["experiment=open"], RunMode.MULTIRUN).temperature
        with pytest.raises(ConfigCompositionException, match="You must specify 'loss'"):
            composed(loader, ["experiment=open"])


def test_a_command_leaves_hydra_as_it_was():
    before = config_loader_impl.create_defaults_list, hydra_module.ConfigLoaderImpl
    with pytest.raises(KeyboardInterrupt), composing_once():
        assert (config_loader_impl.create_defaults_list, hydra_module.ConfigLoaderImpl) != before
        raise KeyboardInterrupt
    assert (config_loader_impl.create_defaults_list, hydra_module.ConfigLoaderImpl) == before
