"""From the `data` config to a data set: find the source, split off what is held out, settle how to normalise.

A source is a function `(root, **its own arguments) -> RawSets`; the keys every data set has (`validation`,
`labeled_fraction`, `mean`, `std`) are handled here, once. Nothing here imports torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill_cli.config.targets import instantiate, parameters_of
from distill_cli.data.holdout import LABELLED, VALIDATION, chosen, fraction, is_labelled, keys_of
from distill_cli.data.splits import UNLABELLED, ArraySplit, DataSet, RawSets, Split
from distill_cli.errors import ConfigError, DataError
from distill_cli.runtime.shared import shared

COMMON = ("validation", "labeled_fraction", "mean", "std")
CHUNK = 1024  # pictures counted at a time


def open_data(spec: Mapping[str, Any], root: Path, cache: Path | None = None) -> DataSet:
    """The data set that `spec` describes, with files under `root`.

    One that is in memory is read once in a sweep, whatever happens to its files meanwhile: the jobs that are left
    get what the first one got. Pictures in folders are looked for each time.

    `cache` is a directory where a source may keep what it knows of its files. Raises `ConfigError` on a bad
    value, `DataError` where the data is missing, malformed or leaves nothing to train or to test on.
    """
    key = ("data", json.dumps(spec, sort_keys=True, default=repr), str(root.absolute()))
    known: DataSet | None = shared.find(key)
    if known is not None:
        return known
    data = _open(spec, root, cache)
    sizes = [split.bytes for split in data.splits.values() if isinstance(split, ArraySplit)]
    return shared.keep(key, sum(sizes), data) if len(sizes) == len(data.splits) else data


def _open(spec: Mapping[str, Any], root: Path, cache: Path | None) -> DataSet:
    name = spec.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError("data.name is missing")
    held_out = fraction("validation", spec.get("validation", 0.0), 0.0, 0.9)
    labelled = fraction("labeled_fraction", spec.get("labeled_fraction", 1.0), 0.0, 1.0)
    if not labelled:
        raise ConfigError("data.labeled_fraction=0 must be above 0")
    raw = _read(spec, root, cache)
    train, validation, test = _parts(raw, held_out, labelled)
    for part, split in (("train", train), ("test", test)):
        if not len(split):
            raise DataError(f"data={name} has no samples in its {part} part")
    for part, split in (("validation", validation), ("test", test)):
        if (split.labels == UNLABELLED).any():
            raise DataError(f"data={name} has samples without a label in its {part} part; leave them out")
    shape = _clean_shape(train)
    mean, std = _normalisation(spec.get("mean"), spec.get("std"), train, shape[0])
    return DataSet(name, raw.classes, mean, std, shape, train, validation, test, raw.skipped)


def fingerprint(data: DataSet) -> dict[str, str]:
    """sha256 of everything a result can depend on: the pictures of each part, all labels, the class names."""
    with ThreadPoolExecutor(len(data.splits)) as pool:
        digests = pool.map(lambda split: split.digest(0, len(split)), data.splits.values())
        pictures = dict(zip(data.splits, digests, strict=True))
    labels = sha256()
    for split in data.splits.values():
        labels.update(len(split).to_bytes(8, "little") + split.labels.astype("<i8").tobytes())
    classes = sha256(json.dumps(data.classes).encode()).hexdigest()
    return {**pictures, "labels": labels.hexdigest(), "classes": classes}


def _read(spec: Mapping[str, Any], root: Path, cache: Path | None) -> RawSets:
    source = {key: value for key, value in spec.items() if key not in COMMON}
    given = {"cache": cache} if "cache" in parameters_of(source) else {}
    try:
        raw = instantiate(source, root=root, **given)
    except OSError as error:
        raise DataError(f"cannot read data={spec['name']}: {error}") from error
    if not isinstance(raw, RawSets):
        raise ConfigError(f"{spec['_target_']} is no data source: it gives {type(raw).__name__}, not RawSets")
    return raw


def _parts(raw: RawSets, held_out: float, labelled: float) -> tuple[Split, Split, Split]:
    train, keys, validation = raw.train, keys_of(raw.train), raw.validation
    if validation is None:
        mask = chosen(VALIDATION, held_out, keys) & is_labelled(train)
        validation = train.take(mask)
        if held_out:
            train, keys = train.take(~mask), keys[~mask]
    if labelled < 1:
        hidden = ~chosen(LABELLED, labelled, keys)
        train = train.relabel(np.where(hidden, UNLABELLED, train.labels))
    test = raw.test if raw.test is not None else train.take(np.zeros(len(train), np.bool_))
    return train, validation, test


def _clean_shape(split: Split) -> tuple[int, int, int]:
    """Without decoding a picture where that can be avoided: it would import Pillow."""
    if isinstance(split, ArraySplit):
        channels, height, width = split.images.shape[1:]
    else:
        channels, height, width = getattr(split, "clean_shape", None) or split.clean(0).shape
    return channels, height, width


def _normalisation(
    mean: Any, std: Any, train: Split, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    given = {"mean": _per_channel("mean", mean, channels), "std": _per_channel("std", std, channels)}
    if given["std"] and min(given["std"]) <= 0:
        raise ConfigError(f"data.std={std} must be above 0")
    if not (given["mean"] and given["std"]):
        computed = _mean_and_std(_histogram(train, channels))
        return given["mean"] or computed[0], given["std"] or computed[1]
    return given["mean"], given["std"]


def _per_channel(name: str, values: Any, channels: int) -> tuple[float, ...]:
    """Numbers, one a channel; an empty tuple stands for: to be computed."""
    if values is None:
        return ()
    numbers = list(values) if isinstance(values, list | tuple) else [values]
    if any(isinstance(n, bool) or not isinstance(n, int | float) or not math.isfinite(n) for n in numbers):
        raise ConfigError(f"data.{name}={values} must be a list of numbers, or null to have it computed")
    if len(numbers) != channels:
        raise ConfigError(
            f"data.{name}={values} has {len(numbers)} numbers, but the pictures have {channels} channels"
        )
    return tuple(float(number) for number in numbers)


def _mean_and_std(counts: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of pixels in [0, 1], from how often each value occurs (channels, 256); a std of 0 becomes 1.

    The sums are exact integers, so every machine comes to the same float.
    """
    means, stds = [], []
    for row in counts.tolist():
        samples = sum(row)
        total = sum(count * level for level, count in enumerate(row))
        squares = sum(count * level**2 for level, count in enumerate(row))
        means.append(total / (255 * samples))
        stds.append(math.sqrt((samples * squares - total**2) / (255 * samples) ** 2) or 1.0)
    return tuple(means), tuple(stds)


def _histogram(split: Split, channels: int) -> NDArray[np.int64]:
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(split), CHUNK):
        stop = min(start + CHUNK, len(split))
        if isinstance(split, ArraySplit):
            pictures = split.images[start:stop]
        else:
            pictures = np.stack([split.clean(index) for index in range(start, stop)])
        for channel in range(channels):
            counts[channel] += np.bincount(pictures[:, channel].ravel(), minlength=256)
    return counts
