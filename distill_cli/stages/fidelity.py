"""Whether the stored rows are true enough to the teacher at the temperatures of a training. No torch.

What is compared was measured when the rows were written, and lies in their seals.
"""

from __future__ import annotations

from distill_cli.config.targets import instantiate
from distill_cli.errors import ConfigError
from distill_cli.plan import Plan
from distill_cli.runtime.console import say
from distill_cli.schedules import values_of
from distill_cli.soft_labels.fidelity import TEMPERATURES, Measure, error_at, kept_at
from distill_cli.soft_labels.label_set import LOGITS


def check_fidelity(plan: Plan) -> None:
    """Raises `ConfigError` where the error is larger than `soft_labels.allow_error`.

    Rows that hold a lower bound on purpose (top-k) are not in error: what they keep is said in one line.
    """
    measured = _measured(plan)
    if not measured:
        return
    temperatures = _temperatures(plan)
    if measured[0]["lower_bound"]:
        if min(temperatures) < 1:
            return  # of that nothing is known, and the loss refuses it
        worst = min(temperatures, key=lambda t: kept_at(measured, t))
        share = kept_at(measured, worst)
        say(
            f"soft labels: at temperature {worst:g} the classes kept and the rest hold {share:.0%} of the loss"
        )
        return
    worst = max(temperatures, key=lambda t: error_at(measured, t))
    error, allowed = error_at(measured, worst), plan.config.soft_labels["allow_error"]
    if error > allowed:
        raise ConfigError(
            f"soft_labels={plan.config.soft_labels.get('name')} changes the loss by {100 * error:.2g} % "
            f"at temperature {worst:g}; {_remedy(plan)}, or soft_labels.allow_error={error * 1.01:.2g}"
        )


def _remedy(plan: Plan) -> str:
    """An encoding that is truer than the one at hand."""
    better = {"int4": "int8", "int8": "float16"}
    return f"take soft_labels={better.get(str(plan.config.soft_labels.get('name')), 'float32')}"


def _measured(plan: Plan) -> list[Measure]:
    errors = (block.shard(LOGITS).seal().error for block in plan.labels.train())
    return [error for error in errors if error is not None]


def _temperatures(plan: Plan) -> list[float]:
    """Where the error can be at its worst: the ends of the schedule, and what was measured between them."""
    values = values_of(instantiate(plan.config.temperature_schedule))
    low, high = min(values), max(values)
    return [low, high, *(float(t) for t in TEMPERATURES if low < t < high)]
