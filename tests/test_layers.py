"""The layers of docs/design.md: imports point down, and torch stays out of what starts fast."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "distill_cli"

# From the top down. A module may import from its own layer and from those below.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("hydra_app",),
    ("stages", "cache", "comparison"),
    ("training", "export"),
    ("evaluation", "plan"),
    ("teaching",),
    ("soft_labels",),
    ("models",),
    ("data", "artifacts", "config", "runtime", "pages", "trackers"),
    ("losses", "schedules"),
    ("progress", "errors"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path, *, at_import_time: bool) -> set[str]:
    """Modules that a file imports: all of them, or those it imports when it is imported itself."""
    tree = ast.parse(path.read_text())
    hidden = set()
    if at_import_time:
        for node in ast.walk(tree):
            is_type_checking = isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
            if isinstance(node, ast.FunctionDef) or is_type_checking:
                hidden |= set(ast.walk(node)) - {node}
    nodes = [node for node in ast.walk(tree) if node not in hidden]
    direct = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return direct | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module_of(name: str) -> Path:
    path = PACKAGE.parent / name.replace(".", "/")
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = layer_of(path)
    if own == "__init__":
        return  # what the package offers its users
    assert own in RANK, f"{own} is in no layer of this test"
    for name in imports_of(path, at_import_time=False):
        if name.startswith("distill_cli."):
            assert RANK[name.split(".")[1]] >= RANK[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_hydra_and_omegaconf_stop_at_the_stages_and_the_plan(path):
    if layer_of(path) in ("hydra_app", "stages", "plan"):
        return
    found = {name.split(".")[0] for name in imports_of(path, at_import_time=False)}
    assert not found & {"hydra", "omegaconf"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "cache").glob("*.py")), ids=lambda path: path.stem)
def test_looking_after_the_cache_never_needs_torch_or_a_plan(path):
    names = imports_of(path, at_import_time=False)
    reached = set().union(*(reached_at_import(module_of(n)) for n in names if n.startswith("distill_cli.")))
    found = {name.split(".")[0] for p in {path, *reached} for name in imports_of(p, at_import_time=True)}
    assert not found & {"torch", "hydra", "omegaconf"}


def reached_at_import(start: Path) -> set[Path]:
    """Files of the package that importing `start` imports in turn."""
    reached, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        names = [n for n in imports_of(path, at_import_time=True) if n.startswith("distill_cli.")]
        waiting += [module_of(name) for name in names]
    return reached


@pytest.mark.parametrize(
    "name",
    [
        "cli",
        "hydra_app.launch",
        "hydra_app.job",
        "plan",
        "stages.run",
        "stages.lock",
        "stages.export",
        "cache.chores",
        "comparison.command",
    ],
)
def test_torch_is_not_imported_before_there_is_work(name):
    for path in reached_at_import(module_of(f"distill_cli.{name}")):
        found = {module.split(".")[0] for module in imports_of(path, at_import_time=True)}
        assert not found & {"torch", "torchvision", "safetensors", "timm"}, path


def test_nothing_is_a_circle():
    graph = {path: reached_at_import(path) - {path} for path in MODULES}
    circles = [path for path in MODULES if any(path in graph.get(other, ()) for other in graph[path])]
    assert not circles
