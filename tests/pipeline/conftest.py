"""Sessions within the test's own process."""

from collections.abc import Callable

import pytest
from tool import new_session

from distill_cli.stages.session import Session


@pytest.fixture
def session(tmp_path) -> Callable[..., Session]:
    return lambda *overrides: new_session(tmp_path, *overrides)
