"""From the host to the device. It stands this low because losses upload too: numbers of samples, and tables."""

from __future__ import annotations

import torch
from torch import Tensor


def upload(values: Tensor, device: torch.device) -> Tensor:
    """On the device, without waiting for it; what is there already stays as it is."""
    if values.device.type == device.type:
        return values
    return values.pin_memory().to(device, non_blocking=True)
