"""Where Typer and Hydra meet.

`hydra.main` reads `sys.argv` and nothing else, so it gets one: flags, then overrides. All that Hydra can do
from a command line then works as in any Hydra application. Its exceptions come here raw and leave as one line.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import hydra
from hydra.core.utils import env_override

from distill_cli.config.overrides import as_hydra, check_free
from distill_cli.errors import ConfigError, Interrupted
from distill_cli.hydra_app import search
from distill_cli.hydra_app.arguments import Arguments
from distill_cli.hydra_app.callbacks import JobsFailed, Outcome
from distill_cli.hydra_app.combinations import combined
from distill_cli.hydra_app.complaints import explain, explain_grammar, unknown_key
from distill_cli.hydra_app.composition import PRIMARY, VERSION_BASE, config_dir, user_config
from distill_cli.hydra_app.job import Task, forget
from distill_cli.hydra_app.recomposition import composing_once
from distill_cli.hydra_app.verdict import is_lost_job, judge
from distill_cli.runtime.console import complain, discard, say
from distill_cli.runtime.cores import handed_down_no_longer
from distill_cli.runtime.signals import EXIT_CODES

FULL_ERROR = "HYDRA_FULL_ERROR"


def run(verb: str, words: Sequence[str]) -> int:
    """Run a verb under Hydra and return its exit code; `words` is what followed it on the command line."""
    show_traceback = os.environ.get(FULL_ERROR) == "1"
    try:
        with _signals_interrupt():
            arguments = Arguments.parse(words)
            with user_config(arguments.config_dir):
                search.offer()
                _launch(Task(verb, show_traceback), arguments)
            sys.stdout.flush()
    except SystemExit as ended:
        return _code_of(ended)
    except (Exception, KeyboardInterrupt, Interrupted) as error:
        if show_traceback:
            traceback.print_exception(error)
        return _report(error)
    return 0


def _launch(task: Task, arguments: Arguments) -> None:
    """Raises `ConfigError` for whatever Hydra and OmegaConf complain about."""
    check_free(arguments.overrides)
    overrides = [as_hydra(combined(override)) for override in arguments.overrides]
    if arguments.bare:
        _forget_earlier(arguments)
        raise ConfigError(_explain_bare(arguments))
    argv = [f"distill {task.verb}", *arguments.flags, f"hydra.job.name={task.verb}", *overrides]
    main = hydra.main(str(config_dir()), PRIMARY, VERSION_BASE)(task)
    logging.raiseExceptions = False  # a reader that left (`--info | head`) is no reason for a traceback
    try:
        with (
            _argv(argv),
            _lazy_help_allowed(),
            composing_once(),
            handed_down_no_longer(),
            env_override({FULL_ERROR: "1"}),
        ):
            main()
    except Exception as error:
        if Outcome.sweeping and is_lost_job(error):  # Hydra ends without a word on the other jobs
            Outcome.sweeping.tell(was_cut=True)
        complaint = explain(error, overrides)
        if complaint is None:
            raise
        _forget_earlier(arguments)
        raise ConfigError(complaint) from error


def _forget_earlier(arguments: Arguments) -> None:
    """A run that fails before it begins leaves no results of another one where its own were to be."""
    directories = [
        word.partition("=")[2] for word in arguments.overrides if word.startswith("hydra.run.dir=")
    ]
    if directories and not arguments.flags:  # which ask for a sweep, or for no run at all
        with suppress(OSError):
            forget(Path(directories[-1]))


def _explain_bare(arguments: Arguments) -> str:
    for override in arguments.overrides:
        if override.endswith(","):  # temperature=1, 2
            return explain_grammar(override)
    word = arguments.bare[0]
    known = unknown_key(word)
    return f"{word!r} is neither KEY=VALUE nor an option; {known.partition('; ')[2]}"


def _code_of(ended: SystemExit) -> int:
    """That of failed jobs as it is; Hydra itself ends with 1 where the command line was wrong."""
    code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return code if isinstance(ended, JobsFailed) or code == 0 else 2


def _report(error: BaseException) -> int:
    verdict = judge(error)
    if verdict.exit_code in (130, 143):
        say(f"distill: {verdict.message}")
    elif verdict.message:
        remedy = f"; {FULL_ERROR}=1 shows the traceback" if verdict.is_internal else ""
        complain(verdict.message + remedy)
    else:
        discard(sys.stdout)
    return verdict.exit_code


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """A signal raises `Interrupted`, as Ctrl-C raises `KeyboardInterrupt`. Training handles both in its own way."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(EXIT_CODES[signal.Signals(number)])

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = [number for number in EXIT_CODES if number != signal.SIGINT]
    former = {number: signal.signal(number, interrupt) for number in caught}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _argv(argv: list[str]) -> Iterator[None]:
    saved, sys.argv = sys.argv, argv
    try:
        yield
    finally:
        sys.argv = saved


@contextmanager
def _lazy_help_allowed() -> Iterator[None]:
    """Hydra 1.3 gives argparse a lazy help object; Python 3.14 refuses it (hydra#3121)."""
    check = getattr(argparse.ArgumentParser, "_check_help", None)
    if check is None:
        yield
        return
    argparse.ArgumentParser._check_help = lambda self, action: None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        argparse.ArgumentParser._check_help = check  # type: ignore[attr-defined]
