"""A process that has imported everything, and forks a child for commands: one costs a tenth of a second.

Started as a script, it takes orders on stdin, a line of JSON each: a list of commands for a child to do one after
the other, answered with the child's number, or a child to wait for, answered with its exit code. The children
run `Task`, as Hydra would, and report how each command ended.
"""

import copy
import encodings.cp437  # noqa: F401 - zip files; another user may not read Python's own
import json
import os
import pickle
import sys
import traceback
from functools import cache
from pathlib import Path
from typing import Any

import filelock  # noqa: F401
import patches
import rich.console
import rich.table  # noqa: F401
import torch
import torch._dynamo  # the first optimizer would import it
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write
from operations import Fault, Operations
from orders import Ended

import distill_cli.stages.jobs.label
import distill_cli.stages.jobs.measure
import distill_cli.stages.jobs.rehearse
import distill_cli.stages.jobs.train
import distill_cli.stages.run  # noqa: F401
from distill_cli.config.overrides import as_hydra
from distill_cli.errors import Interrupted
from distill_cli.hydra_app.composition import VERSION_BASE, config_dir, user_config
from distill_cli.hydra_app.job import Failure, Task
from distill_cli.hydra_app.launch import _report

Order = dict[str, Any]  # the document of an `Order`


@cache
def composed(words: tuple[str, ...]) -> DictConfig:
    with user_config(None), initialize_config_dir(str(config_dir()), version_base=VERSION_BASE):
        config = compose("config", [as_hydra(word) for word in words], return_hydra_config=True)
    with open_dict(config):
        config.hydra.mode = RunMode.RUN
        config.hydra.runtime.config_sources = []
        config.hydra.overrides.task = list(words)
    return config


def command(verb: str, words: tuple[str, ...], output: str) -> int:
    """What the process of a command does once Hydra has composed, and its exit code."""
    config = copy.deepcopy(composed(words))
    config.hydra.runtime.output_dir = output
    HydraConfig.instance().set_config(config)
    task_config = copy.deepcopy(config)
    with read_write(task_config), open_dict(task_config):
        del task_config["hydra"]
    try:
        returned = Task(verb)(task_config)
    except (Exception, KeyboardInterrupt, Interrupted) as error:
        return _report(error)
    return returned.exit_code if isinstance(returned, Failure) else 0


def carry_out(order: Order) -> None:
    """One command, in its directory."""
    os.chdir(order["directory"])
    for patch in order["patches"]:
        getattr(patches, patch)()
    output = order["output"]
    stderr = Path(f"{output}.stderr")
    redirect(stderr)
    Path(output).mkdir(exist_ok=True)
    fault = Fault(**order["fault"]) if order["fault"] else None
    operations = Operations(str(Path(order["directory"], order["below"])), fault)
    with operations.watched():
        code = command(order["verb"], tuple(order["words"]), output)
    sys.stderr.flush()
    result = Path(output, "result.json")
    ended = Ended(
        code,
        stderr.read_text(),
        json.loads(result.read_text()) if result.exists() else {},
        tuple(operations.log),
        tuple(operations.struck),
    )
    Path(f"{output}.report").write_bytes(pickle.dumps(ended))


def redirect(path: Path) -> None:
    for stream, place in ((1, os.devnull), (2, str(path))):
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(descriptor, stream)
        os.close(descriptor)


def become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def start(orders: list[Order]) -> int:
    for order in orders:
        composed(tuple(order["words"]))
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if orders[0]["user"] is not None:
            become(orders[0]["user"])
        for order in orders:
            carry_out(order)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    torch.set_num_threads(1)
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(order, list):
            print(start(order), file=replies)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]), file=replies)


if __name__ == "__main__":
    main()
