"""Compare evaluations: EM per set, and what the first has over each of the others.

Prints differences with their 95 % intervals and McNemar's p, paired over the same questions, and
draws them. A name is a row of the table (all its seeds) or the folder of an evaluation.

example: searchr2 compare search-r2 search-r1 base-search
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="rows or folders, two or more")
    parser.add_argument("--results", type=Path, default=Path("results"), help="(%(default)s)")
    parser.add_argument(
        "--resamples", type=_resamples, default=2000, help="of the bootstrap, 100 or more (2000)"
    )
    parser.add_argument(
        "--figure",
        type=_picture,
        help="a .png, .pdf or .svg (results/figures/compare-NAME-NAME.png)",
    )


def run(options: argparse.Namespace) -> None:
    from searchr2 import comparison, tables
    from searchr2.files import UserError
    from searchr2.tracking.folders import find_evaluations

    first, *others = dict.fromkeys(options.names)
    if not others:
        raise UserError("name two evaluations or more")
    scores = {
        name: tables.row_scores(find_evaluations(options.results, name))
        for name in (first, *others)
    }
    gaps = {
        other: comparison.differences(
            scores[first], scores[other], (first, other), options.resamples
        )
        for other in others
    }
    print(comparison.page(scores, gaps, options.resamples), end="")
    name = "-".join(Path(name).name for name in scores)
    figure = options.figure or options.results / "figures" / f"compare-{name}.png"
    figure.parent.mkdir(parents=True, exist_ok=True)
    comparison.draw(first, gaps).savefig(figure, dpi=150)
    print(f"\n{figure}")


def _resamples(text: str) -> int:
    if not text.isdigit() or int(text) < 100:
        raise argparse.ArgumentTypeError(f"{text}: give a number of 100 or more")
    return int(text)


def _picture(text: str) -> Path:
    if Path(text).suffix not in (".png", ".pdf", ".svg"):
        raise argparse.ArgumentTypeError(f"{text}: let it end in .png, .pdf or .svg")
    return Path(text)
