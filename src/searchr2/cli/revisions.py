"""Draw what more revisions buy and cost: EM, and trajectories generated a prompt (Table 4, Fig. 3).

Give a run several times, once a seed; runs stand in the order of the table's lines.

example:
  searchr2 revisions --table results/table_revisions.csv --out results/figures/revisions \\
      --runs 1=results/train/plus-refiner/seed1/metrics.jsonl \\
             2=results/train/revisions-2/seed1/metrics.jsonl
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", type=Path, required=True, help="a line a run (CSV)")
    parser.add_argument(
        "--runs",
        type=_run,
        nargs="+",
        required=True,
        metavar="N=LEDGER",
        help="revisions a run allows and its metrics.jsonl",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="path without ending; .png and .pdf are written"
    )


def run(options: argparse.Namespace) -> None:
    from searchr2 import plots, revisions
    from searchr2.tables import read_table
    from searchr2.tracking.provenance import made

    ledgers: dict[int, list[Path]] = {}
    for allowed, path in options.runs:
        ledgers.setdefault(allowed, []).append(path)
    inputs = {"table": options.table} | {str(path): path for _, path in options.runs}
    with made(Path(f"{options.out}.png"), stage="revisions", config={}, inputs=inputs):
        table = read_table(options.table, "average", "average_ci_low", "average_ci_high")
        figure = revisions.draw(table, revisions.generated(ledgers))
        plots.save(figure, options.out)


def _run(text: str) -> tuple[int, Path]:
    allowed, equals, path = text.partition("=")
    if not (allowed.isdigit() and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not N=LEDGER")
    return int(allowed), Path(path)
