"""Which view of which sample: the four integers, and the numbers that come from them.

A view is a pure function of (recipe, views.seed, view, sample). In epoch e, sample i is seen in view
(e + offset(i)) mod K, so that a batch mixes views and each sample goes through all K of them. Seen in two views a
step, it is in the next two in each epoch: 2e + offset(i) and the one after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill_cli.config.targets import TARGET, instantiate, parameters_of
from distill_cli.data.hashing import hash64, uniform
from distill_cli.data.views.clean import CLEAN as CLEAN
from distill_cli.data.views.mixing import Mixing
from distill_cli.data.views.recipes import Recipe

Integers = NDArray[np.int64]


OFFSET, AUGMENT, PARTNER, MIX = range(4)  # streams of the hash, so that no two uses share numbers


@dataclass(frozen=True)
class Draws:
    """All that is random about some views, drawn before a pixel is touched."""

    index: Integers  # (n,)
    view: Integers  # (n,)
    recipe: NDArray[np.float32]  # (n, recipe.draws)
    partner: Integers | None = None  # (n,)
    partner_recipe: NDArray[np.float32] | None = None  # (n, recipe.draws)
    mix: NDArray[np.float32] | None = None  # (n, mixing.draws)
    share: NDArray[np.float32] | None = None  # (n,)


@dataclass(frozen=True)
class Views:
    """A recipe with its seed, and how many of its views are kept (`count` None: a new one in every epoch)."""

    recipe: Recipe
    mixing: Mixing | None
    seed: int
    count: int | None

    def view_in_epoch(self, index: Integers, epoch: int, each: int = 1) -> Integers:
        """The view in which each sample is seen in an epoch; or the `each` views, side by side, (n · each,)."""
        number = np.arange(each * epoch, each * (epoch + 1), dtype=np.int64)  # (each,)
        if self.count is None:
            return np.tile(number, len(index))
        offset = hash64(self.seed, OFFSET, 0, index, 1) % np.uint64(self.count)  # (n, 1)
        return ((number + offset.astype(np.int64)) % self.count).ravel()

    def draw(self, index: Integers, view: Integers, samples: int) -> Draws:
        """The numbers behind views of samples, out of a set of `samples` in which partners are found."""
        own = self._uniform(AUGMENT, view, index, self.recipe.draws)
        if self.mixing is None:
            return Draws(index, view, own.astype(np.float32))
        partner = (self._uniform(PARTNER, view, index, 1)[:, 0] * samples).astype(np.int64)
        mix = self._uniform(MIX, view, index, self.mixing.draws)
        return Draws(
            index,
            view,
            own.astype(np.float32),
            partner,
            self._uniform(AUGMENT, view, partner, self.recipe.draws).astype(np.float32),
            mix.astype(np.float32),
            self.mixing.shares(mix).astype(np.float32),
        )

    def _uniform(self, stream: int, view: Integers, index: Integers, draws: int) -> NDArray[np.float64]:
        return _float32_below_one(uniform(self.seed, stream, view, index, draws))


def _float32_below_one(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut to 24 bits, which float32 holds exactly: rounding must not turn 0.99999999 into 1."""
    return np.floor(numbers * (1 << 24)) / (1 << 24)


def open_views(spec: Mapping[str, Any], image_size: tuple[int, int]) -> Views:
    """From the composed `views` config."""
    own = {key: value for key, value in spec.items() if key not in ("seed", "count", "mixing")}
    given = {"image_size": image_size} if "image_size" in parameters_of(own) else {}
    mixing = spec.get("mixing") or {}
    return Views(
        recipe=instantiate(own, **given),
        mixing=instantiate(mixing) if mixing.get(TARGET) else None,
        seed=int(spec["seed"]),
        count=spec["count"],
    )
