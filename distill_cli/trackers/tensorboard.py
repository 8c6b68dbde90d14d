"""TensorBoard: event files that `tensorboard --logdir outputs` shows, one directory a run.

Written with TensorBoard's own writer, which needs no torch. The settings go to its HPARAMS tab, which compares the
runs of a sweep; there a status other than success is "failure", so an interrupted run is one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from distill_cli.trackers.tracker import Figures, Recorder, Run, Setting, Status, need_package


@dataclass(frozen=True)
class TensorBoard:
    dir: str

    def __post_init__(self) -> None:
        need_package("tensorboard", extra="tensorboard")

    def start(self, run: Run) -> Recorder:
        recorder = _Events(_new_directory(Path(self.dir) / run.stage, run.name))
        recorder.begin(run)
        return recorder


class _Events:
    def __init__(self, directory: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.writer = EventFileWriter(str(directory))

    def begin(self, run: Run) -> None:
        from tensorboard.plugins.hparams import metadata

        about = f"`{run.command}`\n\n{run.stage} {run.key}, of {run.group}"
        settings = {"stage": run.stage, **run.settings}
        start: dict[str, Any] = {"hparams": {key: _value(value) for key, value in settings.items()}}
        self._write(0, [_text("command", about), _session(metadata.SESSION_START_INFO_TAG, "start", start)])

    def record(self, epoch: int, figures: Figures) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._write(epoch, [Summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()])

    def end(self, status: Status) -> None:
        from tensorboard.plugins.hparams import api_pb2, metadata

        outcome = api_pb2.STATUS_SUCCESS if status == "finished" else api_pb2.STATUS_FAILURE
        self._write(0, [_session(metadata.SESSION_END_INFO_TAG, "end", {"status": outcome})])
        self.writer.close()

    def _write(self, step: int, values: list[Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        self.writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self.writer.flush()


def _new_directory(parent: Path, name: str) -> Path:
    """`name`, or `name.2` where an earlier run of the same key lies: two in one place would be drawn as one."""
    for number in count(1):
        directory = parent / (name if number == 1 else f"{name}.{number}")
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        return directory
    raise AssertionError("numbers do not end")


def _session(tag: str, moment: str, info: Mapping[str, Any]) -> Any:
    """A session's start or end, as the HPARAMS tab reads it: all in the metadata, with a tensor of nothing."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    data = plugin_data_pb2.HParamsPluginData(**{f"session_{moment}_info": info})
    return Summary.Value(
        tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR
    )


def _value(value: Setting) -> dict[str, Any]:
    """As protobuf has it: true is a number to Python and none to TensorBoard."""
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, int | float):
        return {"number_value": value}
    return {"string_value": "null" if value is None else value}


def _text(tag: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text import metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    return Summary.Value(
        tag=tag, metadata=metadata.create_summary_metadata(tag, ""), tensor=make_tensor_proto(text.encode())
    )
