"""`format=onnx`: model.onnx, checked by ONNX and run by ONNX Runtime. Needs the extra `onnx`.

The exporter's notes on each operation (names, and lines of source files) are left out: they are larger than a small
student, and tell where it was made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

from distill_cli import __version__
from distill_cli.artifacts.files import write_bytes, write_json
from distill_cli.data.splits import Pixels
from distill_cli.export.program import program_of, refusal
from distill_cli.export.student import PREPROCESSING, Logits, Run, Student

FILE = "model.onnx"
OPSET = 18  # what torch's exporter writes without converting it, and runtimes since 2023 read
ERRORS_ONLY = 3  # of ONNX Runtime's log levels


class OnnxFile:
    def write(self, student: Student, directory: Path) -> Mapping[str, Any]:
        steps = student.preprocessing(normalised_by="the model")
        program = program_of(student)
        with refusal(student, "torch.onnx"):
            exported = torch.onnx.export(
                program, dynamo=True, input_names=["pixels"], output_names=["logits"],
                opset_version=OPSET, verbose=False,
            )  # fmt: skip
            assert exported is not None
            model = exported.model_proto
            _tidy(model)
            onnx.helper.set_model_props(model, _notes(student, steps))
            onnx.checker.check_model(model, full_check=True)
            content = model.SerializeToString(deterministic=True)
        write_bytes(directory / FILE, content)
        write_json(directory / PREPROCESSING, steps)
        return {"opset": max(entry.version for entry in model.opset_import if not entry.domain)}

    def open(self, student: Student, directory: Path) -> Run:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        session = onnxruntime.InferenceSession(directory / FILE, options, providers=["CPUExecutionProvider"])

        def run(pixels: Pixels) -> Logits:
            logits: Logits = session.run(["logits"], {"pixels": pixels})[0]
            return logits

        return run


def _notes(student: Student, steps: Mapping[str, Any]) -> dict[str, str]:
    """Text alone is allowed."""
    return {
        "classes": json.dumps(student.classes),
        "preprocessing": json.dumps(steps),
        "student": student.place.name,
        "student_key": student.place.key,
        "distill_cli": __version__,
    }


def _tidy(model: onnx.ModelProto) -> None:
    graph = model.graph
    del graph.value_info[:]  # shapes in between, which every reader infers
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
    for end in (*graph.input, *graph.output):
        end.type.tensor_type.shape.dim[0].dim_param = "batch"
