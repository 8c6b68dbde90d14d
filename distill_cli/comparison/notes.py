"""What stands under the table: what ranks, what is missing, and how to get it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

from distill_cli.comparison.row import Row
from distill_cli.comparison.students import Student
from distill_cli.runtime.console import counted

RANKED = "Ranked by mean validation accuracy. Test accuracy stands beside it and ranks nothing."
NO_VALIDATION = "Not ranked: there is no validation part to rank by, and test is not for choosing; \
data.validation=0.1 holds one out."
OTHER_VALIDATION = "Not ranked: the students were validated on different parts."
MOST_COMMANDS, MOST_FAILURES = 3, 5
OF_DISTILLATION = (
    *("temperature", "alpha", "loss", "soft_labels", "teacher_source", "teacher_filter", "seed", "sweep"),
    *("assistant", "generations", "peers"),
)


def why_unranked(students: Sequence[Student]) -> str:
    """Empty where validation can rank them."""
    if all(student.validation is None for student in students):
        return NO_VALIDATION
    parts = {student.parts["validation"] for student in students if "validation" in student.parts}
    is_measured = all(student.validation is not None for student in students)
    return "" if is_measured and len(parts) <= 1 else OTHER_VALIDATION


def notes_on(rows: Sequence[Row], why_not: str) -> Iterator[str]:
    yield why_not or RANKED
    if all(row.n == 1 for row in rows):
        seed = "teacher.seed" if rows[0].role == "teacher" else "seed"
        yield f"One seed each: a sweep over seeds shows how much is chance ({seed}=0,1,2)."
    else:
        yield "± is the standard deviation over n seeds."
    yield from _on_baselines(rows)
    if any(row.descent.gone for row in rows):
        yield "A teacher is gone, or lies elsewhere: --artifacts DIR says where."
    devices = {device for row in rows for device in row.latency}
    if len(devices) > 1:
        yield "Latency was measured on different devices; compare within a column only."


def note_on_failures(failures: Sequence[str], jobs: int) -> str:
    """Of `jobs` jobs, with the first few by name."""
    named = [" ".join(failure.split()) for failure in failures[:MOST_FAILURES]]
    more = len(failures) - len(named)
    named += [f"and {more} more"] if more else []
    return f"{len(failures)} of {counted(jobs, 'job')} failed: {'; '.join(named)}"


def _on_baselines(rows: Sequence[Row]) -> Iterator[str]:
    lacking: dict[str, list[Student]] = {}
    for row in rows:
        for student, baseline in zip(row.students, row.baselines, strict=True):
            if baseline is None and student.role == "student":
                lacking.setdefault(_alone(student), []).append(student)
    for students in list(lacking.values())[:MOST_COMMANDS]:
        who = f"{students[0].model.get('name', 'student')}, {_seeds(students)}"
        yield f"No baseline of {who}; make it with: {baseline_command(students)}"
    more = len(lacking) - MOST_COMMANDS
    if more > 0:
        yield f"And {counted(more, 'more setting')} {'has' if more == 1 else 'have'} none."
    if any(row.gain for row in rows):
        yield "Gain: test accuracy over the baseline of the same seed, in points."


def baseline_command(students: Sequence[Student]) -> str:
    """`distill distill -m alpha=0 seed=0,1`, and what else the students were built with."""
    seeds = sorted({student.seed or 0 for student in students})
    words = shlex.split(students[0].command or "")[2:]
    keys = {word.lstrip("+~").partition("=")[0] for word in words}
    dropped, model = _dropped(keys), []
    if "assistant" in keys:  # which the student may be, and the command is for another one
        dropped, model = {*dropped, "student"}, [f"student={students[0].model.get('name')}"]
    kept = [word for word in words if word.lstrip("+~").partition("=")[0] not in dropped]
    several = ["-m"] if len(seeds) > 1 else []
    seed = f"seed={','.join(map(str, seeds))}"
    return shlex.join(["distill", "distill", *several, "alpha=0", seed, *model, *kept])


def _dropped(keys: Iterable[str]) -> set[str]:
    return {key for key in keys if key.partition(".")[0].removesuffix("_schedule") in OF_DISTILLATION}


def _alone(student: Student) -> str:
    """The same for students that share a baseline, but for the seed."""
    return str({**student.identity, "distillation": None, "seed": None})


def _seeds(students: Sequence[Student]) -> str:
    seeds = sorted({student.seed or 0 for student in students})
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
