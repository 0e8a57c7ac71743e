"""Servers on 127.0.0.1 for as long as a test lasts: our own, and one that says what it is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import uvicorn

from searchr2.ports import Retriever
from searchr2.retrieval.server import Limits, Server


@contextmanager
def serving(retriever: Retriever, k: int = 3, limits: Limits | None = None) -> Iterator[str]:
    """Our server over ``retriever``; yields its address."""
    server = Server(retriever, k, {"kind": "test"}, limits)
    running = uvicorn.Server(uvicorn.Config(server.app, log_level="error"))
    address = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=running.run, args=([address],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{address.getsockname()[1]}/retrieve"
    finally:
        running.should_exit = True
        thread.join(10)
        address.close()


@dataclass(frozen=True)
class Reply:
    """What a scripted server does with a request."""

    body: bytes = b""
    status: int = 200
    kind: str = "application/json"
    announced: int | None = None
    """Bytes it says will come; more than do come is an answer that breaks off."""
    silent: bool = False
    """Close without a word."""
    pause: float = 0.0
    """Seconds before it answers."""
    drip: float = 0.0
    """Seconds between two bytes."""


@dataclass
class Scripted:
    """A server that gives its replies in order and then the last one for ever."""

    replies: list[Reply]
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def next(self, request: bytes) -> Reply:
        self.requests.append(json.loads(request))
        return self.replies[min(len(self.requests), len(self.replies)) - 1]


@contextmanager
def scripted(*replies: Reply) -> Iterator[Scripted]:
    script = Scripted(list(replies))
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reply = script.next(self.rfile.read(int(self.headers["Content-Length"])))
            self.close_connection = True
            ended.wait(reply.pause)
            if reply.silent:
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            length = len(reply.body) if reply.announced is None else reply.announced
            self.send_header("Content-Length", str(length))
            self.end_headers()
            pieces = [reply.body] if not reply.drip else [bytes([b]) for b in reply.body]
            for piece in pieces:
                if ended.wait(reply.drip):
                    return
                self.wfile.write(piece)
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            pass  # a client that gave up

    with Quiet(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        script.url = f"http://127.0.0.1:{server.server_address[1]}/retrieve"
        try:
            yield script
        finally:
            ended.set()
            server.shutdown()
            thread.join(10)


def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/retrieve"


class Slow:
    """A retriever that takes its time and notes what it is asked together, and by which thread."""

    def __init__(self, retriever: Retriever, seconds: float) -> None:
        self.retriever, self.seconds = retriever, seconds
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()

    def search(self, queries: Sequence[str], k: int) -> Any:
        self.batches.append(list(queries))
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        return self.retriever.search(queries, k)
