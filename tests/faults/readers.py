"""What commands make of a damaged tree: each either says what is wrong, or ends with the very same figures."""

import re
import shutil
from dataclasses import dataclass
from typing import Any

from damage import Damage
from orders import Ended, Order
from scene import Scene, artefacts, assert_one_line, visible

# For damage to a kind of artefact: what is removed so that it is read again, and the steps that read it.
READERS = {
    "teachers": (("soft_labels", "evaluations"), ("gen-soft-labels", "evaluate")),
    "soft_labels": (("students", "evaluations"), ("distill", "gen-soft-labels", "distill")),
    "students": (("evaluations",), ("distill", "baseline", "evaluate")),
    "evaluations": ((), ("evaluate",)),
}
SHOWN = ("key", "name", "inputs", "models", "metrics")
NOT_A_FIGURE = "shards_written"  # says what was done, not what is there
Figures = list[dict[str, Any]]


@dataclass(frozen=True)
class Reader:
    """Commands that read one kind of artefact, and what they report where nothing is damaged."""

    scene: Scene
    kind: str
    right: Figures

    @classmethod
    def of(cls, scene: Scene, kind: str) -> "Reader":
        reading = Reading(scene, kind, None)
        ended = scene.nursery.carry_out(reading.orders)
        assert [one.stderr for one in ended if one.code] == []
        return cls(scene, kind, [shown(one) for one in ended])

    def refusals(self, damages: list[Damage]) -> int:
        """How often a command refused, in one process for all. Asserts that all others were right."""
        readings = [Reading(self.scene, self.kind, damage) for damage in damages]
        ended = self.scene.nursery.carry_out([order for reading in readings for order in reading.orders])
        size, refused = len(self.right), 0
        for number, reading in enumerate(readings):
            mine = ended[number * size : (number + 1) * size]
            reading.assert_nothing_wrong(mine, self.right)
            refused += sum(one.code != 0 for one in mine)
        self.scene.remove_trials()
        return refused


class Reading:
    """Two copies of the finished tree with one damage: as it is, and with what comes later removed."""

    def __init__(self, scene: Scene, kind: str, damage: Damage | None) -> None:
        removed, steps = READERS[kind]
        self.scene, self.damage = scene, damage
        self.as_it_is, self.read_again = scene.copy(), scene.copy()
        for later in removed:
            shutil.rmtree(self.read_again / "artifacts" / later)
        places = (self.as_it_is, self.read_again)
        self.held = {place: damage.do(place) if damage else {} for place in places}
        again = [self._order(self.read_again, step, number) for number, step in enumerate(steps)]
        self.orders = [self._order(self.as_it_is, "run", 0), *again]

    def _order(self, place, step: str, number: int) -> Order:
        return self.scene.order(place, step, output=f"output {number}")

    def assert_nothing_wrong(self, ended: list[Ended], right: Figures) -> None:
        assert self.damage is not None
        for order, one, figures in zip(self.orders, ended, right, strict=True):
            if one.code:
                line = assert_one_line(one)
                assert any(names(line, name) for name in self.damage.files), f"{self.damage}: {line}"
            else:
                assert shown(one) == figures, (self.damage, order.verb)
        for place, held in self.held.items():
            self._assert_right_files(place, held)

    def _assert_right_files(self, place, held: dict[str, bytes]) -> None:
        """All that is there is right, but for what was damaged and is still as it was left."""
        expected = self.scene.after["evaluate"]
        for name, content in visible(artefacts(place)).items():
            assert content in (expected[name], held.get(name)), (self.damage, name)


def shown(ended: Ended) -> dict[str, Any]:
    """The figures of a result.json, and of the stages of a run."""
    results = {"": ended.result, **ended.result.get("stages", {})}
    return {
        f"{stage} {name}": without(result[name], NOT_A_FIGURE)
        for stage, result in results.items()
        for name in SHOWN
        if name in result
    }


def without(value: Any, name: str) -> Any:
    return {key: item for key, item in value.items() if key != name} if isinstance(value, dict) else value


def names(line: str, name: str) -> bool:
    """Whether a line names a file, the other file of its shard, or the artefact that it is a part of."""
    kind, artefact, *_ = name.split("/")
    if kind == "soft_labels" and re.search(r"[1-9]\d* of \d+ blocks of soft labels are not there", line):
        return True  # a shard without its seal does not count as there
    return name.rpartition(".")[0] in line or re.search(rf"{artefact}[ ;(]", line) is not None
