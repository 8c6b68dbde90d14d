"""From what a user names to the students meant: an artefact, a report, a job's output, a sweep, a whole directory.

What is named on its own must be there; in a directory of many, what has no student is passed over in a line.
Damage is an error either way.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.records import RESULT, Records
from distill_cli.artifacts.store import MANIFEST, read_manifest
from distill_cli.cache.documents import KINDS, LABELS
from distill_cli.cache.options import default_root
from distill_cli.comparison.library import EVALUATIONS, Library, children
from distill_cli.comparison.students import STUDENTS, TEACHERS, Student, read_student
from distill_cli.errors import ArtifactError
from distill_cli.evaluation.report import REPORT
from distill_cli.runtime.console import say

OTHER_STAGES = ("gen-soft-labels", "export", "lock")  # no student comes out of them


class NoStudentError(ArtifactError):
    """It is whole, and there is no student in it."""


def load_students(words: Sequence[str | Path], artifacts: Path | None = None) -> list[Student]:
    """Each student once, in the order of its first mention.

    `artifacts` is where the artefact of a moved result or report is looked for. Raises `ArtifactError`.
    """
    search = Search(artifacts or default_root())
    found = [student for word in words for student in search.named(str(word))]
    return list({student.key: student for student in reversed(found)}.values())[::-1]


@dataclass(frozen=True)
class Search:
    """`root` is where the artefacts of moved results and reports are looked for."""

    root: Path
    _libraries: dict[Path, Library] = field(default_factory=dict, repr=False)

    def named(self, word: str) -> list[Student]:
        """Of one path, or of a pattern of them."""
        path = Path(word)
        if path.exists():
            return self._at(path)
        if not any(letter in word for letter in "*?["):
            raise ArtifactError(
                f"there is nothing at {word}; name a student, a report, or a sweep's directory"
            )
        matches = [Path(match) for match in sorted(glob.glob(word, recursive=True))]  # noqa: PTH207 - no dot-names
        if not matches:
            raise ArtifactError(f"no file or directory is like {word!r}")
        return self._of_many(matches, word)

    def of_result(self, document: Mapping[str, Any], origin: str) -> list[Student]:
        """Of a job that is done; it may have made several teachers.

        Raises `ArtifactError`; `origin` is what it calls the document.
        """
        return [self._of_one_result(one, origin) for one in document.get("members") or [document]]

    def _of_one_result(self, document: Mapping[str, Any], origin: str) -> Student:
        try:
            stage, place = _text(document["stage"]), Path(_text(document["artifact"]))
            if stage in OTHER_STAGES:
                raise NoStudentError(f"{origin}: {stage} makes no student")
            kind = TEACHERS if stage == "train-teacher" else STUDENTS
            key = _text(document["inputs"]["distill"] if stage in ("evaluate", "run") else document["key"])
            command = _text(document["command"]) if document.get("command") else None
        except (KeyError, TypeError, AttributeError):
            raise ArtifactError(f"{origin} is no result of a command") from None
        return self._by_key(kind, key, place.parent.parent, origin, command)

    def _at(self, path: Path) -> list[Student]:
        if path.is_file():
            return self._of_file(path)
        if (path / MANIFEST).is_file():
            return [self._of_artefact(path)]
        if (path / LABELS).is_file():
            raise NoStudentError(f"{path} holds soft labels, and no student")
        if (path / RESULT).is_file():
            return self._of_file(path / RESULT)
        for folder in (path, path / STUDENTS):
            if folder.name in KINDS and (inside := [p for p in children(folder) if (p / MANIFEST).is_file()]):
                return self._of_many(inside, str(path))
        records = Records.below(path)
        for failed in records.without_result:
            say(f"left out: {failed.parent}: {_reason(failed)}")
        if not records.results:
            raise NoStudentError(f"there is no student in {path}, and no {RESULT}")
        return self._of_many(records.results, str(path))

    def _of_many(self, paths: Sequence[Path], where: str) -> list[Student]:
        found = [student for path in paths for student in self._unless_empty(path)]
        if not found:
            raise NoStudentError(f"there is no student in {where}")
        return found

    def _unless_empty(self, path: Path) -> Iterator[Student]:
        try:
            yield from self._at(path)
        except NoStudentError as error:
            say(f"left out: {error}")

    def _of_artefact(self, directory: Path) -> Student:
        manifest = read_manifest(directory)
        if manifest.get("kind") != EVALUATIONS:
            return read_student(directory)
        try:
            key = _text(manifest["identity"]["student"])
        except (KeyError, TypeError):
            raise ArtifactError(f"{directory / MANIFEST} is not what distill-cli writes") from None
        return self._by_key(STUDENTS, key, directory.parent.parent, str(directory))

    def _of_file(self, path: Path) -> list[Student]:
        if path.name == REPORT and (path.parent / MANIFEST).is_file():
            return [self._of_artefact(path.parent)]
        if path.suffix != ".json":
            raise NoStudentError(f"{path} is neither a {RESULT} nor a {REPORT}")
        document = read_json(path, "name another file")
        if isinstance(document, dict) and "stage" in document:
            return self.of_result(document, str(path))
        try:
            name = _text(document["models"]["student"]["artifact"])
        except (KeyError, TypeError):
            raise NoStudentError(f"{path} is neither a {RESULT} nor a {REPORT}") from None
        if not (self.root / STUDENTS / name).is_dir():
            raise NoStudentError(f"{path}: its student {name} is not in {self.root}")
        return [read_student(self.root / STUDENTS / name)]

    def _by_key(self, kind: str, key: str, root: Path, origin: str, command: str | None = None) -> Student:
        libraries = (self._libraries.setdefault(place, Library((place,))) for place in (root, self.root))
        place = next(filter(None, (library.find(kind, key) for library in libraries)), None)
        if place is None:
            raise NoStudentError(
                f"{origin}: its {kind[:-1]} {key[:12]} is gone from {root}; --artifacts DIR says where it is"
            )
        return read_student(place, command)


def _text(value: Any) -> str:
    """Raises `TypeError` for what is no text, and for an empty one."""
    if not isinstance(value, str) or not value:
        raise TypeError(value)
    return value


def _reason(failed: Path) -> str:
    try:
        return str(read_json(failed)["message"])
    except (ArtifactError, KeyError, TypeError):
        return "the job failed"
