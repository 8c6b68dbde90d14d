"""`format=hub`: a folder to upload to the Hugging Face Hub as it is.

It is an artefact too (`artifact.json` is that of the student, of the one file that is here), so that
`distill_cli.load_model` takes it. The model in it sees normalised pictures, as everywhere in this tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from distill_cli.artifacts.files import read_json, write_bytes, write_json, write_sealed_json
from distill_cli.artifacts.store import MANIFEST, read_manifest, verified
from distill_cli.config.targets import LABELS, TARGET
from distill_cli.data.splits import Pixels
from distill_cli.export.card import card
from distill_cli.export.student import PREPROCESSING, Logits, Normalised, Run, Student, architecture, trained
from distill_cli.models.artifact import WEIGHTS

LIBRARY = "distill-cli"
CONFIG = "config.json"


class HubFolder:
    def write(self, student: Student, directory: Path) -> Mapping[str, Any]:
        weights = verified(student.place.directory, WEIGHTS)
        write_bytes(directory / WEIGHTS, weights.read_bytes())
        write_sealed_json(directory / MANIFEST, _manifest(student))
        write_json(directory / CONFIG, _config(student))
        write_json(directory / PREPROCESSING, student.preprocessing(normalised_by="the caller"))
        write_bytes(directory / "README.md", card(student.plan).encode())
        return {}

    def open(self, student: Student, directory: Path) -> Run:
        config = read_json(directory / CONFIG)
        model = Normalised(trained(student.plan, directory / WEIGHTS), config["mean"], config["std"]).eval()

        @torch.no_grad()
        def run(pixels: Pixels) -> Logits:
            logits: Logits = model(torch.from_numpy(pixels)).numpy()
            return logits

        return run


def _manifest(student: Student) -> dict[str, Any]:
    """The student's own, without the files that stay at home and the names of unreadable pictures."""
    found = read_manifest(student.place.directory)
    data = {key: value for key, value in found["data"].items() if key != "skipped"}
    files = {WEIGHTS: found["files"][WEIGHTS]}
    return {**found, "model": architecture(student.plan), "data": data, "files": files}


def _config(student: Student) -> dict[str, Any]:
    spec, data = architecture(student.plan), student.data
    channels, height, width = data.image_shape
    return {
        "library_name": LIBRARY,
        "architecture": spec[TARGET],
        "arguments": {key: value for key, value in spec.items() if key not in (TARGET, *LABELS)},
        "num_classes": len(student.classes),
        "id2label": {str(number): name for number, name in enumerate(student.classes)},
        "label2id": {name: number for number, name in enumerate(student.classes)},
        "num_channels": channels,
        "image_size": [height, width],
        "mean": list(data.mean),
        "std": list(data.std),
    }
