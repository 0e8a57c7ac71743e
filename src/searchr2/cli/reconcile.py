"""Mark runs that died as killed: in their records, and in MLflow.

A process that was killed cannot say so; its record would go on "running" for ever. A run is alive
as long as somebody holds its lock. In the database under the results folder (not on a server, which
others may use), runs whose record is gone are ended too.

example: searchr2 reconcile --results results
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), help="(%(default)s)")


def run(options: argparse.Namespace) -> None:
    from searchr2.tracking.follow import read_settings, sync_once
    from searchr2.tracking.reconcile import reconcile

    for name in reconcile(options.results):
        print(f"{name}: killed")
    settings = read_settings(options.results)
    if lost := sync_once(options.results, settings, abandon=settings.uri is None):
        print(f"{lost} runs in MLflow had no record any more: killed")
