"""Serve an index over HTTP, as Search-R1's, verl's and slime's clients ask for it.

POST /retrieve {"queries": [...], "topk": 3, "return_scores": true}; GET /health, /info, /metrics.
Ready when it says so. Ctrl-C or SIGTERM: what was asked is still answered, nothing new is taken.

There is no password: other machines reach it with --host 0.0.0.0, and so does everybody who can
reach this one. Prefer an SSH tunnel (ssh -L 8000:127.0.0.1:8000 HOST).

examples:
  searchr2 serve --index results/index/task
  searchr2 serve --index indexes/wiki-18 --port 8001 --k 5
"""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

from searchr2.cli.search import depth
from searchr2.config import ConfigError, Retrieval


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--index", type=Path, required=True, help="an index folder")
    parser.add_argument("--host", default="127.0.0.1", help="(%(default)s: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="(%(default)s; 0 is any free one)")
    parser.add_argument(
        "--k",
        type=depth,
        default=Retrieval().k,
        help="passages without topk (%(default)s)",
    )
    parser.add_argument(
        "--drain-s", type=int, default=30, help="seconds to finish in when stopped (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    import uvicorn

    from searchr2.build import load_retriever, quiet
    from searchr2.files import MANIFEST, read_json
    from searchr2.retrieval.server import Server

    quiet()
    with bound(options.host, options.port) as address:
        retriever = load_retriever(options.index)
        server = Server(retriever, options.k, read_json(options.index / MANIFEST))
        settings = uvicorn.Config(
            server.app,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=options.drain_s,
        )
        address.listen()
        host, port = address.getsockname()[:2]
        print(f"{options.index}: answering POST http://{host}:{port}/retrieve", flush=True)
        uvicorn.Server(settings).run(sockets=[address])


def bound(host: str, port: int) -> socket.socket:
    """A socket that has the address but does not listen, so that nobody waits while we load."""
    address = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        address.bind((host, port))
    except (OSError, OverflowError) as error:
        address.close()
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"--port: {host}:{port}: {why}; take another") from None
    return address
