"""Bring MLflow up to date with the record and open its UI on this machine.

Prints what to open: checkpoints by data set, evaluations, training curves, trajectories.

example: searchr2 ui --results results --port 5000
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), help="(%(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="on 127.0.0.1 (%(default)s)")


def run(options: argparse.Namespace) -> None:
    import os
    import sys

    from searchr2.cli.serve import bound
    from searchr2.tracking import views
    from searchr2.tracking.follow import read_settings, sync_once
    from searchr2.tracking.lock import LockedError
    from searchr2.tracking.store import Store

    settings = read_settings(options.results)
    if settings.uri is None:
        bound("127.0.0.1", options.port).close()  # refused now, not after the links
    with suppress(LockedError):  # a workflow is running, and mirroring
        sync_once(options.results, settings)
    store = Store(options.results, settings)
    root = settings.uri or f"http://127.0.0.1:{options.port}"
    for what, link in views.links(root, store.experiment).items():
        print(f"{what:26}{link}", flush=True)
    if settings.uri is None:
        # The server's background workers (4 processes) serve what this project does not use.
        os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        where = ["--backend-store-uri", store.uri, "--port", str(options.port)]
        server = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
        os.execv(sys.executable, [sys.executable, *server, *where])
