"""Saving a training run and taking it up again, exactly.

A checkpoint holds everything the next step depends on. Data order and views need nothing: they follow from
(seed, epoch). The file carries its own sha256, and is read with `weights_only=True`.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from distill_cli.artifacts.files import read_sealed, write_sealed
from distill_cli.errors import ArtifactError

FORMAT = 3


def save_checkpoint(path: Path, key: str, state: dict[str, Any]) -> None:
    """`key` is that of the artefact in the making: no other run takes this up."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "key": key, "random": _random_state(), **state}, buffer)
    write_sealed(path, buffer.getvalue())


def load_checkpoint(path: Path, key: str) -> dict[str, Any] | None:
    """What was saved, or None where there is none. Sets torch's generators to where they stood.

    Raises `ArtifactError` where the file is damaged, or another run's.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(
            io.BytesIO(read_sealed(path)), map_location="cpu", weights_only=True
        )
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        raise ArtifactError(f"{path} cannot be read; remove it to start this stage again") from None
    if state.get("format") != FORMAT:
        raise ArtifactError(f"{path} is of another version; remove it to start this stage again")
    if state.get("key") != key:
        raise ArtifactError(f"{path} belongs to another run; remove it to start this stage again")
    _set_random_state(state["random"])
    return state


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
