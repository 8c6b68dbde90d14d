"""What each encoding of soft labels takes and costs: bytes a row, and the error of the loss at each temperature.

The rows are generated, to look like those of a trained teacher: Gaussian logits of standard deviation 2, one
class raised by 12 and five others by up to 4. Prints the table of docs/encodings.md and that of encoding times.
Run it with `make bench NAME=encodings`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import torch
from common import RESULTS, machine
from torch import Tensor

from distill_cli.soft_labels.encodings import Encoding, open_encoding, row_bytes
from distill_cli.soft_labels.encodings.error import measure
from distill_cli.soft_labels.fidelity import TEMPERATURES
from distill_cli.soft_labels.rows import as_bytes

HERE = "distill_cli.soft_labels.encodings"
SPECS: dict[str, dict[str, Any]] = {
    **{dtype: {"_target_": f"{HERE}.Dense", "dtype": dtype} for dtype in ("float32", "float16", "bfloat16")},
    "int8": {"_target_": f"{HERE}.quantised.Int8"},
    "int4": {"_target_": f"{HERE}.quantised.Int4"},
    **{f"top_k, k={k}": {"_target_": f"{HERE}.top_k.TopK", "k": k} for k in (3, 10, 50)},
}
CLASSES = (10, 100, 1000)
ROWS = 1024
RUNS = 5


def main() -> None:
    found = [figures(name, classes) for classes in CLASSES for name in SPECS if fits(name, classes)]
    heads = [f"T={temperature}" for temperature in TEMPERATURES]
    print(f"| classes | encoding | bytes | {' | '.join(heads)} | kept at T=4 |\n|---:|---|---:|{'---:|' * 6}")
    for one in found:
        errors = " | ".join(percent(error) for error in one["mean"])
        kept = f"{100 * one['kept'][2]:.1f} %"
        print(f"| {one['classes']} | `{one['encoding']}` | {one['bytes']} | {errors} | {kept} |")
    print(
        "\n| classes | encoding | encode, ms for 256 rows | decode, ms for 256 rows |\n|---:|---|---:|---:|"
    )
    for one in found:
        times = " | ".join(f"{one[what]:.2f}" for what in ("encode_ms", "decode_ms"))
        print(f"| {one['classes']} | `{one['encoding']}` | {times} |")
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine(), "rows": ROWS, "figures": found}
    (RESULTS / "encodings.json").write_text(json.dumps(content, indent=2) + "\n")


def percent(share: float) -> str:
    return "0" if share == 0 else f"{100 * share:.0f} %" if share > 0.1 else f"{100 * share:.2g} %"


def fits(name: str, classes: int) -> bool:
    return int(SPECS[name].get("k", 0)) < classes


def figures(name: str, classes: int) -> dict[str, Any]:
    encoding = open_encoding(SPECS[name], classes)
    logits = teacher(classes)
    return {
        "encoding": name,
        "classes": classes,
        "bytes": row_bytes(encoding),
        **measure(encoding, logits),
        **times(encoding, logits[:256]),
    }


def teacher(classes: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(ROWS, classes, generator=generator)
    logits[:, 0] += 12
    logits[:, 1:6] += 4 * torch.rand(ROWS, 5, generator=generator)
    return logits


def times(encoding: Encoding, logits: Tensor) -> dict[str, float]:
    rows = as_bytes(encoding.encode(logits))
    return {
        "encode_ms": fastest(lambda: encoding.encode(logits)),
        "decode_ms": fastest(lambda: encoding.decode(rows)),
    }


def fastest(work: Callable[[], object]) -> float:
    """Milliseconds of the fastest of a few runs."""
    return 1000 * min(seconds(work) for _ in range(RUNS))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
