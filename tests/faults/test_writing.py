"""How things are written: in one place of the package, and beside their target."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import STEPS

PACKAGE = Path(__file__).parents[2] / "distill_cli"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "artifacts" not in path.relative_to(PACKAGE).parts)

# Calls that bring something onto the disk: by their last name, and by the module before it where that matters.
WRITERS = {
    "write_text",
    "mkdir",
    "makedirs",
    "rename",
    "replace",
    "touch",
    "symlink_to",
    "hardlink_to",
    "tofile",
}
OF_MODULES = {
    "os": {"write", "truncate", "link", "symlink"},
    "np": {"save", "savez", "savez_compressed", "savetxt", "memmap"},
    "shutil": {"copy", "copy2", "copyfile", "copytree", "move", "make_archive"},
    "torch": {"save"},
    "tempfile": {"NamedTemporaryFile", "TemporaryDirectory", "mkstemp", "mkdtemp"},
}
CLASSES = {"FileHandler", "LogFile", "NamedTemporaryFile", "TemporaryDirectory", "ZipFile", "memmap"}
READING = {"r", "rb", "rt"}

# Where else something is written, and why.
ALLOWED = {
    ("cache/locks.py", "open"): "an existing file of claims, to lock it; nothing is written",
    ("cache/removal.py", "rename"): "takes the name of an artefact away, before it is removed",
    (
        "data/download.py",
        "TemporaryDirectory",
    ): "published data sets are not artefacts, and replaced when whole",
    ("data/download.py", "mkdir"): "their place",
    ("data/download.py", "replace"): "one rename a file, out of the temporary folder beside it",
    (
        "evaluation/github.py",
        "open",
    ): "the step summary: the runner's file, to which every command appends",
    ("export/destination.py", "mkdir"): "exports are not artefacts: a folder for somebody else, made anew",
    ("export/destination.py", "rename"): "out of the working directory beside it, when whole",
    ("stages/jobs/export.py", "open"): "a format reads back what it has written",
    ("trackers/metrics_log.py", "open"): "metrics.jsonl: a log, which grows by a line an epoch",
    ("trackers/mlflow.py", "mkdir"): "the place of MLflow's store",
    ("trackers/tensorboard.py", "mkdir"): "the place of event files",
    ("trackers/wandb.py", "mkdir"): "the place of wandb's runs",
    ("training/checkpoints.py", "save"): "into a buffer in memory, which artifacts/ writes",
    ("models/weights.py", "save"): "into bytes in memory, which artifacts/ writes",
    ("runtime/console.py", "open"): "os.devnull, for a stream that nobody reads",
}


def writing_calls(tree: ast.AST) -> Iterator[str]:
    """Names of calls that write, as far as they can be told from the source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := _name(node.func)) and _writes(node, name):
            yield name


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _owner(function: ast.expr) -> str:
    """`b` of `a.b.c`, `b()` of `b().c`; empty for a name alone."""
    if not isinstance(function, ast.Attribute):
        return ""
    value = function.value
    return f"{_name(value.func)}()" if isinstance(value, ast.Call) else _name(value)


def _writes(call: ast.Call, name: str) -> bool:
    owner = _owner(call.func)
    if name in OF_MODULES.get(owner, ()) or name in CLASSES or owner == "safetensors" or name == "save_file":
        return True
    if (owner, name) == ("os", "open"):
        return ast.unparse(call.args[1]) != "os.O_RDONLY"
    if name == "open":
        return owner != "Image" and not _only_reads(call, first=owner not in ("", "io"))
    if name == "write_bytes":
        return isinstance(call.func, ast.Attribute)  # of a path; ours is called by its name alone
    if name in ("save", "dump"):
        return owner == "torch" or (name == "dump" and owner in ("json", "pickle", "yaml"))
    if name == "replace":
        return len(call.args) == 1 and not call.keywords and isinstance(call.func, ast.Attribute)
    return name in WRITERS


def _only_reads(call: ast.Call, *, first: bool) -> bool:
    """Whether the mode is one for reading; that of `path.open` is the first argument, that of `open` the second."""
    given = call.args[0 if first else 1 :][:1] + [k.value for k in call.keywords if k.arg == "mode"]
    return all(isinstance(mode, ast.Constant) and mode.value in READING for mode in given)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_but_artifacts_writes_files(path):
    where = str(path.relative_to(PACKAGE))
    found = {(where, name) for name in writing_calls(ast.parse(path.read_text()))}
    assert found <= ALLOWED.keys()


def test_every_exception_is_still_needed():
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in MODULES
        for name in writing_calls(ast.parse(path.read_text()))
    }
    assert ALLOWED.keys() <= found


@pytest.mark.parametrize(
    "source",
    [
        "open(p, 'w')",
        "open(p, mode='ab')",
        "open(p, mode)",
        "p.open('wb')",
        "Path(p).open('ab')",
        "io.open(p, 'x')",
        "os.open(p, os.O_RDWR)",
        "p.write_text('')",
        "p.write_bytes(b'')",
        "np.save(p, rows)",
        "torch.save(state, p)",
        "safetensors.torch.save_file(w, p)",
        "tempfile.mkstemp()",
        "p.replace(q)",
        "logging.FileHandler(p)",
        "json.dump(x, f)",
        "np.memmap(p, mode='w+')",
    ],
)
def test_a_way_to_write_is_recognised(source):
    assert list(writing_calls(ast.parse(source)))


@pytest.mark.parametrize(
    "source", ["open(p)", "os.open(p, os.O_RDONLY)", "p.open('rb')", "open(p, 'r')", "'a'.replace('b', 'c')"]
)
def test_reading_is_not_taken_for_writing(source):
    assert not list(writing_calls(ast.parse(source)))


@pytest.mark.parametrize("step", STEPS)
def test_a_temporary_file_stands_beside_its_target(scene, step):
    renames = [one for one in scene.logs[step].log if one.name in ("rename", "replace")]
    assert renames and all(Path(one.path).parent == Path(one.more).parent for one in renames)
