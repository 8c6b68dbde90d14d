"""The command line: verbs, behind each of them whatever Hydra understands; `compare` and `cache`, which look at and
after what they made, and `losses`, which lists what there is: these have nothing to do with Hydra.

Nothing here imports Hydra or torch before a verb runs: help and completion of verbs answer at once. Help is
plain text, because Typer's rich help alone would take longer than all the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from distill_cli import __version__
from distill_cli.config.nearest import nearest

HELP = """Turn a large trained classifier, the teacher, into small ones, its students.

One config for every verb: what follows the verb is Hydra's, so overrides, sweeps and launchers work
everywhere. The same command again resumes, or says that everything is up to date."""

EXAMPLES = """\b
Examples:
  distill run
  distill distill -m temperature=1,2,4,8
  distill run experiment=fashion_mnist student=cnn device=cuda

\b
`distill VERB --help` lists the overrides one needs most."""

OVERRIDES = """\b
Overrides (the same for every verb):
  experiment=NAME            a whole recipe: digits (default), fashion_mnist, ...; ~experiment: none
  data=NAME                  data set; where it lies: paths.data=DIR
  teacher=NAME student=NAME  architectures, of one list of models
  temperature=4 alpha=0.9    T, and the weight of the soft loss
  loss=NAME loss=[A,B]       distillation loss, or several added up: distill losses
  views=NAME views.count=8   augmentation, and stored views of a sample
  student.epochs=60          one training recipe each: student.*, teacher.*
  seed=0 device=cuda         and precision=, compile=, teacher_source=

\b
Hydra's flags:
  -m, --multirun             one job for each combination: temperature=1,2,4
  --cfg job                  print the composed config and leave
  --config-dir DIR           your own YAML, which wins over ours
  --info, --hydra-help       more about the composition, and about Hydra"""

CACHE_HELP = """Look after what the other verbs have made.

`distill cache WORD --help` lists the options."""

CACHE_OPTIONS = {
    "NAME": "as ls shows it, kind/NAME, a path, its beginning or its key's, or '*' in quotes",
    "--artifacts DIR": "where artefacts lie; default $DISTILL_ARTIFACTS, or artifacts",
    "--json": "for scripts",
    "--remove-damaged": "remove what is damaged, so that a rerun makes it again",
    "--force": "also what others were made from",
    "--older-than DAYS": "keep unfinished and unused things that are younger; default 7",
    "--yes": "remove without a question",
}


def complete(ctx: typer.Context, incomplete: str) -> list[str]:
    from distill_cli.hydra_app.completion import complete_override

    return complete_override(ctx.params.get("overrides") or [], incomplete)


COMPARE_OPTIONS = """\b
What it takes:
  PATH               a student, a report, a sweep's directory, or a pattern of them in quotes
  --output DIR       where compare.csv, compare.md and compare.html go; default outputs/compare
  --artifacts DIR    where teachers, baselines and reports lie; default $DISTILL_ARTIFACTS, or artifacts"""


LOSSES_OPTIONS = """\b
What it takes:
  NAME               one of them, with its options
  --json             for scripts
  --config-dir DIR   your own YAML beside ours"""


def complete_name(ctx: typer.Context, incomplete: str) -> list[str]:
    if ctx.info_name == "losses":
        from distill_cli.hydra_app import losses

        return losses.complete(ctx.params.get("words") or [], incomplete)
    from distill_cli.cache import names

    return names.complete(incomplete) if ctx.info_name in ("verify", "rm") else []


Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", autocompletion=complete, hidden=True),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", autocompletion=complete_name, hidden=True),
]


class Verb(TyperCommand):
    """Hands on what follows it as it was typed; only --help is its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing or {"-h", "--help"} & set(args):
            return super().parse_args(ctx, args)
        ctx.params[self.params[0].name] = args
        return []


class Verbs(TyperGroup):
    """Says in one line what is wrong with the first word."""

    kind = "verb"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        params = self.get_params(ctx)
        if args and not ctx.resilient_parsing:
            self._check(args[0], [option for param in params for option in param.opts])
        for param in params:
            if param.default is None:  # Typer would import pydantic, 0.1 s, to make nothing of it
                param.default = False
        return super().parse_args(ctx, args)

    def _check(self, word: str, options: list[str]) -> None:
        is_option = word.startswith("-")
        known = options if is_option else list(self.commands)
        if word.partition("=")[0] in known:
            return
        near = nearest(word, known)
        remedy = f"did you mean {near!r}?" if near else f"choose from {', '.join(known)}"
        _refuse(f"no such {'option' if is_option else self.kind}: {word!r}; {remedy}")


class Chores(Verbs):
    kind = "cache command"


def _refuse(message: str) -> NoReturn:
    typer.echo(f"distill: error: {message}", err=True)
    raise typer.Exit(2)


app = typer.Typer(
    cls=Verbs,
    help=HELP,
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


VERB: dict[str, Any] = {
    "cls": Verb,
    "epilog": OVERRIDES,
    "context_settings": {"ignore_unknown_options": True},  # while completing
}

CHORE: dict[str, Any] = {name: value for name, value in VERB.items() if name != "epilog"}


def options_help(*names: str) -> str:
    """The options of a chore, and --artifacts, which all have."""
    lines = [f"  {name:<19}{CACHE_OPTIONS[name]}" for name in (*names, "--artifacts DIR")]
    return "\n".join(("\b", "What it takes:", *lines))


def _run(verb: str, overrides: list[str] | None) -> None:
    from distill_cli.hydra_app.launch import run  # Hydra takes 0.2 s that --help need not pay

    sys.exit(run(verb, overrides or []))


@app.command("train-teacher", **VERB)
def train_teacher(overrides: Overrides = None) -> None:
    """Train the teacher."""
    _run("train-teacher", overrides)


@app.command("gen-soft-labels", **VERB)
def gen_soft_labels(overrides: Overrides = None) -> None:
    """Store the teacher's logits for every view."""
    _run("gen-soft-labels", overrides)


@app.command("distill", **VERB)
def distill(overrides: Overrides = None) -> None:
    """Train a student on the stored logits."""
    _run("distill", overrides)


@app.command("evaluate", **VERB)
def evaluate(overrides: Overrides = None) -> None:
    """Compare student, baseline and teacher."""
    _run("evaluate", overrides)


@app.command("run", **VERB)
def run(overrides: Overrides = None) -> None:
    """All of these, skipping what is up to date."""
    _run("run", overrides)


@app.command("export", **VERB)
def export(overrides: Overrides = None) -> None:
    """Write the student as ONNX, torch.export or for the Hub."""
    _run("export", overrides)


@app.command("lock", **VERB)
def lock(overrides: Overrides = None) -> None:
    """Pin every input and artefact in distill.lock.json."""
    _run("lock", overrides)


@app.command("compare", **CHORE, epilog=COMPARE_OPTIONS)
def compare(words: Names = None) -> None:
    """Put students side by side, in a table and a page."""
    from distill_cli.comparison.command import run

    _without_hydra(lambda: run(words or []))


@app.command("losses", **CHORE, epilog=LOSSES_OPTIONS)
def losses(words: Names = None) -> None:
    """List the losses, and what each of them needs."""
    from distill_cli.hydra_app.losses import run

    _without_hydra(lambda: run(words or []))


cache = typer.Typer(cls=Chores, help=CACHE_HELP, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(cache, name="cache", short_help="List, check and remove artefacts.")


def _look_after(chore: str, words: list[str] | None) -> None:
    from distill_cli.cache.chores import run

    _without_hydra(lambda: run(chore, words or []))


def _without_hydra(work: Callable[[], None]) -> None:
    """What goes wrong ends as with the other verbs."""
    try:
        work()
    except (Exception, KeyboardInterrupt) as error:
        from distill_cli.hydra_app.verdict import judge  # Hydra takes 0.2 s that success need not pay
        from distill_cli.runtime.console import complain, discard

        verdict = judge(error)
        if verdict.message:
            complain("interrupted" if verdict.exit_code == 130 else verdict.message)
        else:
            discard(sys.stdout)
        sys.exit(verdict.exit_code)


@cache.command("ls", **CHORE, epilog=options_help("--json"))
def cache_ls(words: Names = None) -> None:
    """List artefacts, and whether they are complete."""
    _look_after("ls", words)


@cache.command("verify", **CHORE, epilog=options_help("NAME", "--remove-damaged"))
def cache_verify(words: Names = None) -> None:
    """Read every byte and compare its sha256."""
    _look_after("verify", words)


@cache.command("rm", **CHORE, epilog=options_help("NAME", "--force", "--yes"))
def cache_rm(words: Names = None) -> None:
    """Remove the artefacts named."""
    _look_after("rm", words)


@cache.command("gc", **CHORE, epilog=options_help("--older-than DAYS", "--yes"))
def cache_gc(words: Names = None) -> None:
    """Show what nobody needs, and remove it when told to."""
    _look_after("gc", words)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"distill-cli {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
