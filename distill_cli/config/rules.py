"""How a rule of the config is broken: one line that names the override, its value, and the rule."""

from __future__ import annotations

from distill_cli.errors import ConfigError


def require(holds: bool, key: str, value: object, rule: str) -> None:
    """Raise `ConfigError` naming the override, its value and the rule it breaks."""
    if not holds:
        raise ConfigError(f"{key}={value}: {rule}")
