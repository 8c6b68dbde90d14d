"""The command line: five verbs, and behind each verb whatever Hydra understands.

Nothing here imports Hydra or torch before a verb runs: help and completion of verbs answer at once. Help is
plain text, because Typer's rich help alone would take longer than all the rest.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

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
  loss=NAME                  distillation loss
  views=NAME views.count=8   augmentation, and stored views of a sample
  student.epochs=60          one training recipe each: student.*, teacher.*
  seed=0 device=cuda         and precision=, compile=, teacher_source=

\b
Hydra's flags:
  -m, --multirun             one job for each combination: temperature=1,2,4
  --cfg job                  print the composed config and leave
  --config-dir DIR           your own YAML, which wins over ours
  --info, --hydra-help       more about the composition, and about Hydra"""


def complete(ctx: typer.Context, incomplete: str) -> list[str]:
    from distill_cli.hydra_app.completion import complete_override

    return complete_override(ctx.params.get("overrides") or [], incomplete)


Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", autocompletion=complete, hidden=True),
]


class Verb(TyperCommand):
    """Hands on what follows it as it was typed; only --help is its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing or {"-h", "--help"} & set(args):
            return super().parse_args(ctx, args)
        ctx.params["overrides"] = args
        return []


class Verbs(TyperGroup):
    """Says in one line what is wrong with the first word."""

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
        kind = "option" if is_option else "verb"
        typer.echo(f"distill: error: no such {kind}: {word!r}; {remedy}", err=True)
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
