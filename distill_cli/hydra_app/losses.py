"""`distill losses`: what the shelf of losses holds, and what each of them needs. It is read from the YAMLs.

A user's own YAML may be made of others (`defaults`), so that only Hydra can tell what is in it; ours, and whatever
else says its `_target_`, are read as they lie there, which takes no time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from distill_cli.config.loss_terms import NEEDS, TERMS, LossTerm, hard_weight, terms_of
from distill_cli.config.nearest import nearest
from distill_cli.config.targets import TARGET
from distill_cli.config.words import WordParser
from distill_cli.errors import ConfigError
from distill_cli.hydra_app.composition import PRIMARY, config_dir, config_loader, user_config
from distill_cli.runtime.console import show

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

Row = tuple[str, str, str, str]
GROUPS = {  # what a loss needs, as a heading; of a sum the last one that it needs
    "logits": "from the teacher's logits: stored, or online",
    "embedding": "from the teacher's embeddings: stored beside the logits, or online",
    "features": "from feature maps: the teacher runs beside the student",
    "labels": "without a teacher",
    "previous": "from the student that student.init goes on from",
}
assert set(GROUPS) == set(NEEDS)
STRONGEST = ("features", "embedding", "logits", "previous", "labels")  # decides where a sum stands
HEADINGS = ("  loss", "what is matched", "hard : soft", "paper")
GAP = 2  # between columns
LEAST = 20  # columns of what is matched
UNBOUNDED = 1000  # columns of a pipe
OF_WEIGHTS = "alpha: the hard loss weighs 1 - alpha, the soft one alpha; others do not use it"
HINT = "distill losses NAME shows its options; docs/methods.md says which to take"


@dataclass(frozen=True)
class Method:
    """One YAML."""

    path: Path
    spec: Mapping[str, Any]
    terms: tuple[LossTerm, ...]
    hard_weight: float

    @classmethod
    def of(cls, path: Path, own: Path | None) -> Method:
        """Raises `ConfigError` with the path for what is no loss."""
        spec = _read(path, own)
        try:
            return cls(path, spec, terms_of(spec), hard_weight(spec))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @property
    def name(self) -> str:
        """What one types, whatever the YAML calls it."""
        return self.path.stem

    @property
    def about(self) -> str:
        return str(self.spec.get("about", ""))

    @property
    def paper(self) -> str:
        return str(self.spec.get("paper", ""))

    @property
    def needs(self) -> str:
        return next(needs for needs in STRONGEST if needs in {term.needs for term in self.terms})

    @property
    def weights(self) -> str:
        """Of the hard and the soft loss."""
        soft = " + ".join("alpha" if term.weight is None else f"{term.weight:g}" for term in self.terms)
        return soft if "alpha" in soft else f"{self.hard_weight:>3g} : {soft}"

    @property
    def cells(self) -> Row:
        """In the table."""
        return f"  {self.name}", self.about, self.weights, self.paper

    def document(self) -> dict[str, Any]:
        term = self.terms[0]
        has_own = len(self.terms) == 1 and term.weight is not None
        return {
            "name": self.name,
            "needs": self.needs,
            "about": self.about,
            "paper": self.paper,
            "weight": term.weight if has_own else None,
            "hard_weight": self.hard_weight if has_own else None,
            "terms": [term.name for term in self.terms] if TERMS in self.spec else [],
        }


def run(words: Sequence[str]) -> None:
    """`words` is what followed the verb on the command line."""
    given = _parse(words)
    paths = _paths(given.config_dir)
    if given.name:
        _show_one(given.name, paths, given.config_dir)
        return
    methods = [Method.of(path, given.config_dir) for _, path in sorted(paths.items())]
    if given.json:
        sys.stdout.write(json.dumps([method.document() for method in methods], indent=2) + "\n")
    else:
        show(_shelf(methods))


def complete(words: Sequence[str], incomplete: str) -> list[str]:
    """What <TAB> offers behind `words`."""
    try:
        paths = _paths(_parse(words).config_dir)
    except ConfigError:  # half a command line
        paths = _paths(None)
    return sorted(name for name in paths if name.startswith(incomplete))


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = WordParser("distill losses")
    parser.add_argument("name", metavar="NAME", nargs="?")
    parser.add_argument("--config-dir", metavar="DIR", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse(words)


def _paths(own: Path | None) -> dict[str, Path]:
    """By name: ours, and those of a user's own directory, which win."""
    if own is not None and not own.is_dir():
        raise ConfigError(f"--config-dir {own}: there is no such directory")
    directories = [config_dir(), *([own] if own else [])]
    return {path.stem: path for directory in directories for path in (directory / "loss").glob("*.yaml")}


def _read(path: Path, own: Path | None) -> Mapping[str, Any]:
    """What the YAML comes to. Raises what OmegaConf and Hydra do, and `ConfigError`, all with its path."""
    try:
        loaded = OmegaConf.load(path)
    except (OSError, UnicodeDecodeError) as error:  # a text alone is an OSError to OmegaConf
        raise ConfigError(f"{path}: holds no settings: {error}") from error
    spec: Any = OmegaConf.to_container(loaded)
    if not isinstance(spec, Mapping):
        raise ConfigError(f"{path}: is a list, not the settings of a loss")
    return _composed(path.stem, own) if "defaults" in spec and TARGET not in spec else spec


def _composed(name: str, own: Path | None) -> Mapping[str, Any]:
    from hydra.types import RunMode

    with user_config(None if own is None else str(own)), config_loader() as loader:
        config = loader.load_configuration(PRIMARY, [f"loss={name}"], RunMode.RUN)
        return OmegaConf.to_container(config.loss, resolve=True)  # type: ignore[return-value]


def _show_one(name: str, paths: Mapping[str, Path], own: Path | None) -> None:
    if name not in paths:
        near = nearest(name, paths)
        raise ConfigError(
            f"there is no loss {name!r}; " + (f"did you mean {near!r}?" if near else "see distill losses")
        )
    method = Method.of(paths[name], own)
    about = f"{name}: {method.about}" if method.about else name
    sys.stdout.write(f"{about}\n{GROUPS[method.needs]}\n\n# {method.path}\n{method.path.read_text('utf-8')}")


def _shelf(methods: Sequence[Method]) -> Group:
    """A table for each group, their columns below one another."""
    from rich.console import Group
    from rich.text import Text

    layout = _Layout.of(methods)
    parts: list[RenderableType] = [layout.table([HEADINGS], "dim"), Text("")]
    for needs, heading in GROUPS.items():
        rows = [method.cells for method in methods if method.needs == needs]
        if rows:
            parts += [Text(heading, style="bold"), layout.table(rows), Text("")]
    legend = [OF_WEIGHTS, HINT] if len(layout.widths) > 2 else [HINT]
    return Group(*parts, *(Text(line, style="dim") for line in legend))


@dataclass(frozen=True)
class _Layout:
    """What fits into the width: the last columns give way first, and papers are cut down to their authors."""

    widths: tuple[int, ...]  # of the columns
    by_authors: bool

    @classmethod
    def of(cls, methods: Sequence[Method]) -> _Layout:
        rows = [HEADINGS, *(method.cells for method in methods)]
        name, about, weights, paper = (max(map(len, column)) for column in zip(*rows, strict=True))
        authors = max(len(_authors(row[-1])) for row in rows)
        room = _width()
        for widths in (
            (name, about, weights, paper),
            (name, about, weights, authors),
            (name, about, weights),
        ):
            if sum(widths) + GAP * (len(widths) - 1) <= room:
                return cls(widths, widths[-1] == authors)
        return cls((name, max(LEAST, min(about, room - name - GAP))), by_authors=False)

    def table(self, rows: Sequence[Row], style: str = "") -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, padding=(0, GAP, 0, 0), pad_edge=False, style=style)
        for width in self.widths:
            table.add_column(width=width)
        for *cells, paper in rows:
            row = (*cells, _authors(paper) if self.by_authors else paper)
            table.add_row(*map(Text, row[: len(self.widths)]))
        return table


def _authors(paper: str) -> str:
    """And the year."""
    return paper.partition(",")[0]


def _width() -> int:
    from rich.console import Console

    console = Console(file=sys.stdout)
    return console.width if console.is_terminal else UNBOUNDED
