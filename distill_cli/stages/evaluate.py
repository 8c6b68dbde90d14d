"""`distill evaluate`: student, equal-budget baseline and teacher side by side, and the gates for CI."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from distill_cli.artifacts.files import read_json
from distill_cli.artifacts.store import Place, verified
from distill_cli.config.loss_terms import terms_of
from distill_cli.config.overrides import bare_key
from distill_cli.errors import ArtifactError
from distill_cli.evaluation.chain import chain_table
from distill_cli.evaluation.report import REPORT, correction, findings, headline, terminal_table
from distill_cli.plan import Plan
from distill_cli.runtime.console import say, show
from distill_cli.stages import gates
from distill_cli.stages.ensure import Built, ensure
from distill_cli.stages.result import StageResult
from distill_cli.stages.session import Session
from distill_cli.stages.summary import summary
from distill_cli.stages.tracking import track_report

# Overrides that change nothing in a report: groups of the config, and single keys of others.
OF_NO_REPORT = {"export", "format", "gates", "hydra", "lock", "logger", "trainer"}
WHERE_FILES_GO = {"paths.artifacts", "paths.outputs"}


def main(config: DictConfig, output: Path) -> float | None:
    """Returns what a sweep goes by: accuracy on the validation part, with the bias where there is one.

    Also where `fit` has seen these samples: a few numbers of many, and the student is meant to be used with them.
    """
    session = Session.of(config)
    result = run(session)
    gates.publish(session, output, result)
    session.write_result(output, result.document())
    accuracy = result.metrics.get("validation_top1")
    gates.hold_gates(result, accuracy)
    suggest_sweep(session)
    return accuracy


def run(session: Session) -> StageResult:
    """Measure, show the table, and judge the gates. A missed gate is held against the caller later."""
    plan = session.plan

    def build() -> Built:
        _check_inputs(session)
        from distill_cli.stages.jobs.measure import measure

        return measure(plan, place, _wherever(session))

    reference = gates.reference_of(plan)
    place = plan.evaluation()
    result = ensure("evaluate", place, _inputs(plan), build, session.recipe("run"))
    report = read_json(verified(place.directory, REPORT))
    if result.status != "up-to-date":
        track_report(session, place, report, session.recipe("run"))
    show(terminal_table(report))
    if chain := report.get("chain"):
        show(chain_table(report))
    say(headline(report))
    if changed := correction(report):
        say(changed)
    for finding in findings(report):
        say(finding)
    if plan.distils and report["models"]["baseline"] is None:
        say(f"for the baseline beside it: {session.command('run')}")
    verdicts = gates.judged(session, report, reference)
    say(summary("report", result))
    judged = [verdict.document() for verdict in verdicts]
    return replace(
        result, more={"models": report["models"], "gates": judged, **({"chain": chain} if chain else {})}
    )


def suggest_sweep(session: Session) -> None:
    """A baseline has nothing to sweep; after it comes the student."""
    plan = session.plan
    if plan.distils:  # every temperature has assistants and generations of its own
        verb = "distill" if plan.taught_by is None else "run"
        session.suggest(verb, "-m", _worth_sweeping(plan))
    else:
        session.suggest("run", "alpha=0.9")


def _worth_sweeping(plan: Plan) -> str:
    """The temperature; without one, the weight of a loss that has its own; without that, other seeds."""
    if plan.uses_temperature:
        return "temperature=1,2,4,8"
    weighted = next((term for term in terms_of(plan.config.loss) if term.weight), None)
    if weighted is None or weighted.weight is None:
        return "seed=0,1,2"
    return f"{weighted.key}.weight={','.join(f'{weighted.weight / times:g}' for times in (100, 10, 1))}"


def _wherever(session: Session) -> str:
    """What makes it all from nothing. A report that is moved, or held to other gates, stays as it is."""
    return shlex.join(word for word in shlex.split(session.command("run")) if _tells(word))


def _tells(word: str) -> bool:
    if "=" not in word:  # `--config-dir`, and its directory
        return True
    key = bare_key(word)
    return key not in WHERE_FILES_GO and re.split(r"[./@]", key)[0] not in OF_NO_REPORT


def _inputs(plan: Plan) -> dict[str, str]:
    inputs = {"train-teacher": plan.first.teacher.key, "distill": plan.student.key}
    return {**inputs, "baseline": plan.baseline.key} if plan.baseline.is_complete() else inputs


def _check_inputs(session: Session) -> None:
    plan, everything = session.plan, session.command("run")
    for link in plan.links[:-1]:
        if not link.student.is_complete():
            raise ArtifactError(f"{link.role} is not there ({link.student.name}); make it with: {everything}")
    needed: list[tuple[str, str, Place]] = [
        *(("teacher", "train-teacher", member.teacher) for member in plan.first.members),
        ("student", "distill", plan.student),
    ]
    for role, verb, place in needed:
        if not place.is_complete():
            raise ArtifactError(
                f"the {role} {place.name} is not there; make it with: {session.command(verb)}, "
                f"or everything with: {everything}"
            )
