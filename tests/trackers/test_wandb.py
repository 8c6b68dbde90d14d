"""Runs of wandb kept offline, read from its own file: records of protobuf in blocks as LevelDB has them."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from distill_cli.config.targets import instantiate
from distill_cli.errors import ConfigError

pytest.importorskip("wandb")

FOLLOW = """
import sys
from runs import follow
from distill_cli.trackers.wandb import Wandb
for _ in range(2):
    follow(Wandb(project="mine", entity=None, dir=sys.argv[1], mode=sys.argv[2]))
"""
HEADER, BLOCK, FRAME = 7, 32768, struct.Struct("<IHB")  # checksum, length, kind
COMPLETE = (1, 4)  # a record in one piece, or the last piece of one


def records(path: Path):
    from wandb.proto.wandb_internal_pb2 import Record

    raw, at, content = path.read_bytes(), HEADER, b""
    while at + FRAME.size <= len(raw):
        if BLOCK - at % BLOCK < FRAME.size:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = FRAME.unpack_from(raw, at)
        content += raw[at + FRAME.size : at + FRAME.size + length]
        at += FRAME.size + length
        if kind in COMPLETE:
            yield Record.FromString(content)
            content = b""


def values(items) -> dict:
    return {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}


@pytest.fixture(scope="module", params=["offline", "auto"])
def followed(request, tmp_path_factory):
    """Two runs in one process, where nobody is logged in; and what was printed of it."""
    directory = tmp_path_factory.mktemp("outputs")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FOLLOW, str(directory), request.param],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return request.param, sorted(directory.glob("wandb/offline-run-*/*.wandb")), done


def test_each_run_is_a_file_with_its_name_settings_and_figures(followed):
    from runs import EPOCHS, RUN

    _, files, _ = followed
    assert len(files) == 2
    for file in files:
        found = list(records(file))
        (run,) = (record.run for record in found if record.HasField("run"))
        assert (run.display_name, run.project, run.run_group, run.job_type) == (
            RUN.name,
            "mine",
            "sweep_1",
            "student",
        )
        assert {"temperature": 4.0, "student": "mlp_24", "key": RUN.key}.items() <= values(
            run.config.update
        ).items()
        history = [values(record.history.item) for record in found if record.HasField("history")]
        told = [{"_step": number, **epoch} for number, epoch in enumerate(EPOCHS, start=1)]
        assert [{name: row[name] for name in epoch} for row, epoch in zip(history, told, strict=True)] == told
        (end,) = (record.exit for record in found if record.HasField("exit"))
        assert end.exit_code == 0


def test_it_asks_nothing_and_prints_no_more_than_that_nobody_is_logged_in(followed):
    mode, _, done = followed
    assert done.stdout == ""
    if mode == "offline":
        assert done.stderr == ""
    else:
        assert done.stderr.count("\n") == 1 and "wandb sync" in done.stderr, done.stderr


def test_a_mode_that_is_none_is_refused():
    spec = {
        "_target_": "distill_cli.trackers.wandb.Wandb",
        "project": "x",
        "entity": None,
        "dir": "x",
        "mode": "off",
    }
    with pytest.raises(ConfigError, match=r"^logger\.wandb\.mode=off: must be one of auto, online, offline"):
        instantiate(spec)
