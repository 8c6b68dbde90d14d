"""Where the jobs of `distill lock -m` would write: each to a file of its own, or none of them starts.

A path may hang on anything in a job's config, so each is composed, with the number and the directory that it will
have.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from distill_cli.artifacts.lockfile import DEFAULT
from distill_cli.errors import ConfigError

VERB = "lock"


def check_locks(config: DictConfig, jobs: Sequence[list[str]], swept: Sequence[Override]) -> None:
    """Raises `ConfigError` where two of the jobs, each given by its overrides, would write the same lock."""
    if config.hydra.job.name != VERB:
        return
    writers: dict[str, int] = {}
    for number, words in enumerate(jobs):
        path = _path(config, words, number)
        first = writers.setdefault(os.path.realpath(path), number)
        if first != number:
            raise ConfigError(
                f"lock={path}: jobs #{first} and #{number} would write one lock over the other; "
                f"name one for each job, such as {_example(config, swept)}"
            )


def _path(config: DictConfig, words: list[str], number: int) -> str:
    job = GlobalHydra.instance().config_loader().load_sweep_config(config, words)
    with read_write(job), open_dict(job):
        job.hydra.job.id, job.hydra.job.num = str(number), number
    with _current(job):
        with read_write(job.hydra.runtime), open_dict(job.hydra.runtime):
            job.hydra.runtime.output_dir = str(Path(job.hydra.sweep.dir, job.hydra.sweep.subdir))
        return str(job.lock or DEFAULT)


@contextmanager
def _current(job: DictConfig) -> Iterator[None]:
    """Within, `${hydra:...}` is of this job."""
    instance: Any = HydraConfig.instance()
    former, instance.cfg = instance.cfg, job
    try:
        yield
    finally:
        instance.cfg = former


def _example(config: DictConfig, swept: Sequence[Override]) -> str:
    """With the settings that are swept; with the job's number where a group of settings is."""
    keys = [override.get_key_element() for override in swept]
    are_values = all(isinstance(OmegaConf.select(config, key), int | float | str) for key in keys)
    names = keys if are_values else ["hydra:job.num"]
    return f"'lock=locks/{'-'.join(f'${{{name}}}' for name in names)}.json'"
