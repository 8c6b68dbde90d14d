"""Every YAML under conf/ composes, and its values pass the checks of the schema."""

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict

from distill_cli.config.overrides import ALIASES, as_hydra
from distill_cli.config.schema import Config
from distill_cli.hydra_app.composition import config_dir, config_loader, user_config

PLACES = {"model": ["teacher", "student"], "sweep": ["+sweep"], "hydra": ["hydra"], "loss": ["loss"]}


def words():
    for path in sorted(config_dir().glob("*/*.yaml")):
        group = path.parent.name
        aliases = [alias for alias, target in ALIASES.items() if target.startswith(f"{group}@")]
        keys = PLACES.get(group) or ([group] if group == "views" else []) + aliases or [group]
        if group == "training":
            keys = ["training@student", "training@teacher"]
        yield from (f"{key}={path.stem}" for key in keys)


def compose(*overrides):
    with user_config(None), config_loader() as loader:
        config = loader.load_configuration("config", [as_hydra(word) for word in overrides], RunMode.RUN)
    with open_dict(config):
        del config["hydra"]
    return config


@pytest.mark.parametrize("word", list(words()))
def test_it_composes_and_holds_possible_values(word):
    assert isinstance(OmegaConf.to_object(compose(word)), Config)


@pytest.mark.parametrize(
    "word", ["temperature=0", "alpha=1.5", "student.epochs=0", "precision=fp8", "views.count=0"]
)
def test_an_impossible_value_does_not(word):
    key = word.partition("=")[0]
    with pytest.raises(Exception, match=key):
        OmegaConf.to_object(compose(word))
