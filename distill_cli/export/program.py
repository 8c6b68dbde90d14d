"""A student as a graph of torch operations, traced without running Python again: what both kinds of file hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from textwrap import shorten
from warnings import catch_warnings, simplefilter

import torch
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from distill_cli.errors import DistillError
from distill_cli.export.student import Student

EXAMPLES = 2  # pictures; torch takes a batch of 1 for a constant


def program_of(student: Student) -> ExportedProgram:
    """Its input is `pixels`, its batch of any size. Raises `DistillError` where the model has no such graph."""
    example = torch.zeros(EXAMPLES, *student.data.image_shape, dtype=torch.uint8)
    with refusal(student, "torch.export"):
        program = torch.export.export(
            student.normalising(), (example,), dynamic_shapes={"pixels": {0: Dim("batch")}}
        )
    _forget_sources(program)
    return program


@contextmanager
def refusal(student: Student, by: str) -> Iterator[None]:
    """Quiet, and one line for whatever goes wrong: other people's exporters fail in their own ways."""
    try:
        with _silence():
            yield
    except MemoryError:
        raise
    except Exception as error:
        reason = shorten(f"{type(error).__name__}: {error}", width=300, placeholder=" ...")
        name = student.plan.config.student.model.get("name", "the student")
        raise DistillError(f"{by} cannot export {name}: {reason}; format=hub needs no graph") from error


@contextmanager
def _silence() -> Iterator[None]:
    """What an exporter tells its developers is nothing a user can act on."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _forget_sources(program: ExportedProgram) -> None:
    """Where in whose files each operation was called: of no use elsewhere, and other bytes on every machine."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, GraphModule) else ():
            node.meta.pop("stack_trace", None)
