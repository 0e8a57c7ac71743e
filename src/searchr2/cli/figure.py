"""Draw the training curves of runs, as PNG and PDF.

Give a run several times, once a seed, and its seeds are drawn faintly under their mean. A line of
the table without a step, of a supervised run, is drawn as a level.

example: searchr2 figure --out results/figures/training_dynamics \\
             --table results/table_curves.csv \\
             --runs Search-R1=results/train/search-r1/seed1/metrics.jsonl \\
                    Search-R2=results/train/search-r2/seed1/metrics.jsonl
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs",
        type=ledger,
        nargs="+",
        required=True,
        metavar="NAME=LEDGER",
        help="name of a run and its metrics.jsonl",
    )
    parser.add_argument(
        "--table", type=Path, help="a table over steps, for EM on the seven sets (CSV)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="path without ending; .png and .pdf are written"
    )


def run(options: argparse.Namespace) -> None:
    from searchr2 import figures, plots
    from searchr2.curves import read_curves, read_ledgers, read_levels
    from searchr2.tracking.provenance import made

    ledgers = read_ledgers(options.runs)
    tested = (read_curves(options.table), read_levels(options.table)) if options.table else ()
    inputs = {str(path): path for _, path in options.runs}
    if options.table:
        inputs["table"] = options.table
    with made(Path(f"{options.out}.png"), stage="figure", config={}, inputs=inputs):
        plots.save(figures.training_dynamics(ledgers, *tested), options.out)


def ledger(text: str) -> tuple[str, Path]:
    """``NAME=LEDGER`` as its two parts."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=LEDGER")
    return name, Path(path)
