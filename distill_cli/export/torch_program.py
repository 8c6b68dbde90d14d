"""`format=torch_export`: model.pt2, which `torch.export.load` runs without the code that made the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from distill_cli.artifacts.files import write_bytes, write_json
from distill_cli.data.splits import Pixels
from distill_cli.export.program import program_of, refusal
from distill_cli.export.student import PREPROCESSING, Logits, Run, Student

FILE = "model.pt2"


class TorchProgram:
    def write(self, student: Student, directory: Path) -> Mapping[str, Any]:
        steps = student.preprocessing(normalised_by="the model")
        inside = {"classes.json": json.dumps(student.classes), PREPROCESSING: json.dumps(steps)}
        program, file = program_of(student), BytesIO()
        with refusal(student, "torch.export"):
            torch.export.save(program, file, extra_files=inside)
        write_bytes(directory / FILE, file.getbuffer())
        write_json(directory / PREPROCESSING, steps)
        return {}

    def open(self, student: Student, directory: Path) -> Run:
        model = torch.export.load(directory / FILE).module()

        def run(pixels: Pixels) -> Logits:
            logits: Logits = model(torch.from_numpy(pixels)).numpy()
            return logits

        return run
