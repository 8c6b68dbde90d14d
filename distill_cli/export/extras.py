"""What a format needs that is not installed with the tool. Looked for without importing it."""

from __future__ import annotations

from importlib.util import find_spec

from distill_cli.errors import ConfigError

NEEDED = {"onnx": ("onnx", "onnxruntime", "onnxscript")}


def require_extra(form: str) -> None:
    """Raises `ConfigError` that names the extra to install."""
    if any(find_spec(module) is None for module in NEEDED.get(form, ())):
        raise ConfigError(f"format={form} needs the extra: pip install 'distill-cli[{form}]'")
