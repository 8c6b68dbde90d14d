"""`distill losses`: what the shelf of losses holds, and what each of them needs. It is read from the YAMLs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from distill_cli.config.loss_terms import NEEDS, LossTerm
from distill_cli.config.nearest import nearest
from distill_cli.config.words import WordParser
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import config_dir
from distill_cli.runtime.console import show

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

GROUPS = {  # what a loss needs, as a heading
    "logits": "from the teacher's logits: stored, or online",
    "embedding": "from the teacher's embeddings: stored beside the logits, or online",
    "features": "from feature maps: the teacher runs beside the student",
    "labels": "without a teacher",
    "previous": "from the student that student.init goes on from",
}
assert set(GROUPS) == set(NEEDS)


@dataclass(frozen=True)
class Method:
    """One YAML."""

    term: LossTerm
    about: str
    paper: str
    text: str

    @classmethod
    def of(cls, path: Path) -> Method:
        spec: Any = OmegaConf.to_container(OmegaConf.load(path))
        term = LossTerm.of({"name": path.stem, **spec}, "loss")
        return cls(term, str(spec.get("about", "")), str(spec.get("paper", "")), path.read_text("utf-8"))

    @property
    def weights(self) -> str:
        """Of the hard and the soft loss."""
        if self.term.weight is None:
            return "1 - alpha, alpha"
        return f"{self.term.hard_weight:g}, {self.term.weight:g}"

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """In the table."""
        return f"  {self.term.name}", self.weights, self.about, self.paper

    def document(self) -> dict[str, Any]:
        term = self.term
        return {
            "name": term.name,
            "needs": term.needs,
            "about": self.about,
            "paper": self.paper,
            "weight": term.weight,
            "hard_weight": None if term.weight is None else term.hard_weight,
        }


def run(words: Sequence[str]) -> None:
    """`words` is what followed the verb on the command line."""
    given = _parse(words)
    methods = sorted(_methods(given.config_dir), key=lambda method: method.term.name)
    if given.name:
        _show_one(given.name, methods)
    elif given.json:
        sys.stdout.write(json.dumps([method.document() for method in methods], indent=2) + "\n")
    else:
        show(_table(methods))


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = WordParser("distill losses")
    parser.add_argument("name", metavar="NAME", nargs="?")
    parser.add_argument("--config-dir", metavar="DIR", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse(words)


def _methods(own: Path | None) -> Iterator[Method]:
    """Ours, and those of a user's own directory, which win."""
    if own is not None and not own.is_dir():
        raise ConfigError(f"--config-dir {own}: there is no such directory")
    directories = [config_dir(), *([own] if own else [])]
    found = {path.stem: path for directory in directories for path in (directory / "loss").glob("*.yaml")}
    yield from (Method.of(path) for path in found.values())


def _show_one(name: str, methods: list[Method]) -> None:
    names = [method.term.name for method in methods]
    if name not in names:
        near = nearest(name, names)
        raise ConfigError(
            f"there is no loss {name!r}; " + (f"did you mean {near!r}?" if near else "see distill losses")
        )
    method = methods[names.index(name)]
    heading = GROUPS[method.term.needs]
    sys.stdout.write(f"{name}: {method.about}\n{heading}\n\n# conf/loss/{name}.yaml\n{method.text}")


def _table(methods: list[Method]) -> Group:
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for needs, heading in GROUPS.items():
        own = [method for method in methods if method.term.needs == needs]
        if own:
            parts += [Text(heading, style="bold"), _rows(own, methods), Text("")]
    hint = (
        "distill losses NAME shows its options; weights are those of hard and soft loss; loss=[A,B] adds up"
    )
    return Group(*parts, Text(hint))


def _rows(own: list[Method], every: list[Method]) -> Table:
    """The columns of all groups stand below one another."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2), pad_edge=False)
    for column in range(2):
        table.add_column(min_width=max(len(method.cells[column]) for method in every) + 2, no_wrap=True)
    for method in own:
        table.add_row(*map(Text, method.cells))
    return table
