import pytest
from students import configured


@pytest.fixture(scope="session")
def cnn():
    """A small network with batch norm, pooling and dropout, of random weights."""
    return configured("cnn_digits", (1, 8, 8))
