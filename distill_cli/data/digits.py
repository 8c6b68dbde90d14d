"""1,797 handwritten digits that come with the package: a whole pipeline in seconds, without a download.

The test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0), as in scikit-learn's `load_digits`. The file
holds the original values 0..16, the number of ink pixels in a 4×4 cell; they are scaled to 0..255 here,
rounding halves up. The test part is held out by hash: the writers of the samples are not known.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from distill_cli.data.holdout import hold_out_test
from distill_cli.data.splits import ArraySplit, RawSets


def load(root: Path, test: float = 0.25) -> RawSets:
    """Pictures of (1, 8, 8), ten classes. `root` is not used: the file lies in the package."""
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        ink, labels = file["images"], file["labels"].astype(np.int64)
    pixels = ((ink.astype(np.uint16) * 255 + 8) // 16).astype(np.uint8)
    train, held_out = hold_out_test(ArraySplit(pixels[:, None], labels), test)  # (samples, 1, 8, 8)
    return RawSets(tuple("0123456789"), train, test=held_out)
