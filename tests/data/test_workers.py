"""How many processes decode pictures, where nobody says."""

import pytest
import torch

from distill_cli.data.loader import default_workers
from distill_cli.runtime import cores


@pytest.mark.parametrize(("device", "share", "workers"), [("cpu", "8", 2), ("cpu", "3", 0), ("cuda", "3", 3)])
def test_a_job_beside_others_decodes_on_its_share_of_the_cores(monkeypatch, device, share, workers):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: range(16), raising=False)
    monkeypatch.setenv("DISTILL_CORES", share)
    assert default_workers(torch.device(device)) == workers
