"""Optimizers without torch._dynamo: the same steps, sooner."""

import subprocess
import sys

import pytest

TRAIN = """
import sys
import torch
from torch import nn
from distill_cli.runtime.eager import spare_dynamo

def train(kind, options):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = kind(model.parameters(), lr=0.1, **options)
    optimizer.add_param_group({"params": [extra := nn.Parameter(torch.ones(2))]})
    for _ in range(3):
        optimizer.zero_grad()
        (model(torch.ones(4, 3)) * extra).square().sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        assert torch.is_grad_enabled()
    return [parameter.tolist() for group in optimizer.param_groups for parameter in group["params"]]

def imported():
    return [name for name in ("torch._dynamo", "sympy") if name in sys.modules]
"""

KINDS = [
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"fused": True}),
    ("AdamW", {}),
    ("Adam", {"foreach": True}),
    ("RMSprop", {}),
]


def python(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", TRAIN + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=lambda value: str(value))
def test_an_optimizer_steps_as_it_would_and_imports_no_compiler(kind, options):
    """One process, since what is imported stays: spared first, then as torch has it."""
    spared, modules, plain, then = python(
        f"kind, options = torch.optim.{kind}, {options}\n"
        "wrapped = kind.step\n"
        "spare_dynamo(kind)\n"
        "print(train(kind, options)); print(imported())\n"
        "kind.step = wrapped\n"
        "print(train(kind, options)); print(imported())\n"
    )
    assert spared == plain
    assert modules == "[]" and then != "[]"


def test_two_optimizers_in_one_process_are_both_spared():
    assert python(
        "for kind in (torch.optim.SGD, torch.optim.AdamW, torch.optim.SGD):\n"
        "    spare_dynamo(kind)\n"
        "    train(kind, {})\n"
        "print(imported())\n"
    ) == ["[]"]


def test_a_model_compiles_afterwards():
    assert python(
        "spare_dynamo(torch.optim.SGD)\n"
        "train(torch.optim.SGD, {})\n"
        "model = nn.Linear(3, 2)\n"
        "compiled = torch.compile(model, backend='eager')\n"
        "spare_dynamo(torch.optim.SGD)\n"
        "train(torch.optim.SGD, {})\n"
        "print(torch.equal(compiled(torch.ones(4, 3)), model(torch.ones(4, 3))))\n"
    ) == ["True"]


def test_what_is_built_in_another_way_is_left_as_it_is():
    assert python(
        "class Own(torch.optim.Optimizer):\n"
        "    def __init__(self, params, lr):\n"
        "        super().__init__(params, {'lr': lr})\n"
        "    def step(self):\n"
        "        return 'own'\n"
        "own = Own.step\n"
        "spare_dynamo(Own); spare_dynamo(len); spare_dynamo(None)\n"
        "print(Own.step is own, Own([nn.Parameter(torch.ones(1))], 0.1).step())\n"
    ) == ["True own"]
