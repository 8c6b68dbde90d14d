import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from students import configured

from distill_cli.config.schema import Config
from distill_cli.hydra_app.composition import VERSION_BASE, config_dir, user_config


@pytest.fixture(scope="session")
def cnn():
    """A small network with batch norm, pooling and dropout, of random weights."""
    return configured("cnn_digits", (1, 8, 8))


@pytest.fixture(scope="session")
def digits_config() -> Config:
    """What `distill run` means."""
    HydraConfig.instance().cfg = None  # what a test of the command line may have left
    with user_config(None), initialize_config_dir(str(config_dir()), version_base=VERSION_BASE):
        composed = compose("config")
    return OmegaConf.to_object(composed)
