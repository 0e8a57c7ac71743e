"""Put every table and figure of a results folder on one page, with what made each.

The page is one HTML file that loads nothing from anywhere: captions, commands, settings, commits
and versions are in it, training health and the runs too, and what was not run is said.

example: searchr2 report --results results --out results/report.html
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), help="(%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the page, HTML")
    parser.add_argument(
        "--captions",
        type=Path,
        default=Path("workflow/report"),
        help="folder of NAME.rst, a caption each (%(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    from searchr2.files import results_folder, write_text
    from searchr2.report.page import page
    from searchr2.tracking.provenance import made

    results = results_folder(options.results)
    read = [*results.glob("*.csv"), *results.glob("figures/*.png")]
    inputs = {str(path): path for path in read}
    with made(options.out, stage="report", config={}, inputs=inputs):
        write_text(options.out, page(results, options.captions))
