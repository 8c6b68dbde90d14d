"""What this process runs on, for result.json and for whoever compares two figures later."""

from __future__ import annotations

import platform
import sys
from functools import cache
from importlib.metadata import version

from distill_cli import __version__


def describe_environment() -> dict[str, str]:
    """Versions and machine, read without importing torch."""
    return {**_described()}


@cache
def _described() -> dict[str, str]:
    libraries = {name: version(name) for name in ("torch", "torchvision", "hydra-core", "numpy")}
    return {
        "distill_cli": __version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        **libraries,
    }
