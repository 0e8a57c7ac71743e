"""Say what training to each step of a table over steps cost, and where runs have cost the same.

Seconds are the median step of a seed's ledger times the steps, averaged over seeds. The column
nearest_to names the methods whose whole training a line of another comes nearest to, and how much
of its seconds it took: compare these two for equal compute, and two of one step for equal steps.
A line without a step, of a supervised run, is left out.

example: searchr2 cost --table results/table_double_rollouts.csv --print \\
             --runs Search-R2=results/train/search-r2/seed1/metrics.jsonl \\
                    "Search-R1, 10 rollouts=results/train/search-r1-n10/seed1/metrics.jsonl" \\
             --out results/table_double_rollouts_cost.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from searchr2.cli.figure import ledger


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--table", type=Path, required=True, help="a table over steps: its methods and steps (CSV)"
    )
    parser.add_argument(
        "--runs",
        type=ledger,
        nargs="+",
        required=True,
        metavar="METHOD=LEDGER",
        help="a method of the table and the metrics.jsonl of a seed; several times for more seeds",
    )
    parser.add_argument("--out", type=Path, required=True, help="the table to write (CSV)")
    parser.add_argument("--print", action="store_true", help="print it too")


def run(options: argparse.Namespace) -> None:
    from searchr2 import cost
    from searchr2.curves import read_curves, read_ledgers
    from searchr2.files import write_text
    from searchr2.tracking.provenance import made

    inputs = {str(path): path for path in (options.table, *(path for _, path in options.runs))}
    with made(options.out, stage="cost", config={}, inputs=inputs):
        steps = {name: list(of.index) for name, of in read_curves(options.table).items()}
        found = cost.table(read_ledgers(options.runs), steps)
        write_text(options.out, found.to_csv(index=False, lineterminator="\n"))
    if options.print:
        print(cost.page(found), end="")
