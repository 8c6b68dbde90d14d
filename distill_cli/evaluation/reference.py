"""An earlier report that today's student is held against: `gates.reference`. No torch.

Read and checked before anything is trained. Today's accuracy may not lie below the lower end of the 95 % interval
(Wilson) that the reference states for its own: what is closer than that, other test pictures may turn round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.store import MANIFEST, verified
from distill_cli.errors import ArtifactError, ConfigError
from distill_cli.evaluation.report import REPORT, SCHEMA


@dataclass(frozen=True)
class Reference:
    path: str  # as typed
    top1: float
    low: float  # the lower end of its interval
    data: str  # as the report names it

    @classmethod
    def read(cls, path: str) -> Reference:
        """From a report.json, or a directory that holds one.

        Raises `ConfigError` where there is none, and `ArtifactError` where it is damaged or of another schema.
        """
        report = _checked(path, read_json(_file(path), "take another one for gates.reference"))
        try:
            student = report["models"]["student"]
            low, _ = student["top1_interval"]
            return cls(path, float(student["top1"]), float(low), str(report["settings"]["data"]))
        except (KeyError, TypeError, ValueError):
            raise ArtifactError(
                f"gates.reference={path}: a report without the student's top1_interval"
            ) from None

    def require_data(self, data: str) -> None:
        """Raises `ConfigError` where the reference was measured on anything but `data`."""
        if self.data != data:
            raise ConfigError(
                f"gates.reference={self.path}: measured on {self.data}, and here it is {data}; "
                "accuracies of different test parts cannot be compared"
            )


def _file(path: str) -> Path:
    place = Path(path)
    if place.is_file():
        return place
    if not place.is_dir():
        raise ConfigError(f"gates.reference={path}: there is no such file")
    if not (place / REPORT).is_file():
        raise ConfigError(
            f"gates.reference={path}: there is no {REPORT} in it; they are in artifacts/evaluations/*"
        )
    return verified(place, REPORT) if (place / MANIFEST).is_file() else place / REPORT


def _checked(path: str, found: Any) -> Mapping[str, Any]:
    if isinstance(found, dict) and "stage" in found:
        raise ConfigError(
            f"gates.reference={path}: a result, and no report; take {found.get('artifact', '')}/{REPORT}"
        )
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema is None or "models" not in found:
        raise ArtifactError(f"gates.reference={path}: not a report of distill evaluate")
    if schema != SCHEMA:
        raise ArtifactError(
            f"gates.reference={path} is a report of schema {schema}; this version reads schema {SCHEMA}: "
            "make it again with distill evaluate"
        )
    return found  # type: ignore[no-any-return]
