"""The table in README.md names tests that exist, and leaves no fault out."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = (HERE / "README.md").read_text()
NAMED = sorted(set(re.findall(r"`([a-z_]+/test_\w+\.py)::(test_\w+)`", TABLE)))
FAULTS = {*range(1, 21), *range(27, 31)}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda value: value)
def test_a_test_that_is_named_exists(file, name):
    tree = ast.parse((HERE.parent / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_fault_has_a_row_with_a_test():
    rows = [line for line in TABLE.splitlines() if re.match(r"\| \d+ .*`\w+/test_", line)]
    assert {int(row.split()[1]) for row in rows} == FAULTS
