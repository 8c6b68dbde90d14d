"""Published tables, reproduced: `make table NAME=mnist_hinton` runs what is missing, and writes its page.

Without a name it lists the tables of benchmarks/tables/. A run that is in docs/results/NAME.json and whose keys the
config still gives is not run again, whether or not its artefacts are still there. Words behind `ARGS=` go to every
command; they may say how it runs (`device=cuda`), not what comes out.

Knobs: BENCH_DATA and BENCH_ARTIFACTS (where data sets lie, artefacts go; else what `distill` takes), BENCH_ROWS
(those called so, `KD` or `resnet20 / KD`, else those that have it in their names;
several with commas between them, or with semicolons, `teacher, 2×1200;`), BENCH_SEEDS (`0,1`), BENCH_ONLY
(`missing` lists what would run, `page` writes the page from what is recorded), and for tables of your own
BENCH_TABLES and BENCH_RESULTS (where descriptions lie, where pages go).
"""

from __future__ import annotations

import sys

from tables.command import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
