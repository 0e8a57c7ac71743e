"""Mirror the record under the results folder into MLflow.

Training and evaluation never speak to MLflow; they write files, and this copies what is new in
them: runs, metrics with their recorded times, checkpoints with their scores per data set. Repeating
it adds nothing twice. The workflow starts one with --follow; run it by hand to upload what a dead
server or a killed workflow left behind.

example: searchr2 sync --results results
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    parser.add_argument(
        "--follow", action="store_true", help="repeat, at low priority, until the parent has ended"
    )
    parser.add_argument(
        "--parent", type=int, metavar="PID", help="whom --follow follows (its own parent process)"
    )


def run(options: argparse.Namespace) -> None:
    import os

    from searchr2.tracking import follow
    from searchr2.tracking.lock import LockedError

    settings = follow.read_settings(options.results)
    try:
        if options.follow:
            os.nice(19)  # beside trainings on every core it must take next to nothing
            follow.follow(options.results, settings, options.parent or os.getppid())
        else:
            follow.sync_once(options.results, settings)
    except LockedError as error:
        print(f"another sync is at work: {error}")
