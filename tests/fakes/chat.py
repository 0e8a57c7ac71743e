"""Judging models that are no models: one that reads, and a server that speaks OpenAI's dialect."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fakes import ByteCodec

from searchr2.judging.model import Pieces
from searchr2.ports import Completion, Generate, Score

Reader = Callable[[str], str]
"""From the text of a prompt to the text of a reply."""


class Reading:
    """A model.Chat that replies as a reader does, and remembers what it was asked."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.asked: list[Pieces] = []

    def reply(self, prompts: Sequence[Pieces]) -> list[str | None]:
        self.asked.extend(prompts)
        return [self.reader("".join(text for text, _ in prompt)) for prompt in prompts]


class ReadingEngine:
    """A ports.Engine whose policy replies as a reader does, as long as its room lasts."""

    def __init__(self, reader: Reader, codec: ByteCodec) -> None:
        self.reader, self.codec = reader, codec
        self.asked: list[Generate] = []
        self.asked_before: list[Generate] = []
        """What was asked up to the last time it was told to forget."""

    def generate(self, requests: Sequence[Generate]) -> list[Completion]:
        self.asked.extend(requests)
        return [self._completion(request) for request in requests]

    def _completion(self, request: Generate) -> Completion:
        text = self.reader(self.codec.decode(request.ids))
        whole = (*self.codec.text(text), self.codec.eos_id)
        ids = whole[: request.max_new_tokens]
        return Completion(ids, (-0.1,) * len(ids), "eos" if ids == whole else "length")

    def score(self, requests: Sequence[Score]) -> list[tuple[tuple[float, ...], ...]]:
        raise NotImplementedError

    def refresh(self) -> None:
        self.asked_before, self.asked = [*self.asked_before, *self.asked], []


def evidence_reader(titles: Sequence[str]) -> Reader:
    """Counts as the evidence judge does, from nothing but the prompt: collections that are new."""

    def read(prompt: str) -> str:
        parts = re.split(r"^Collection \d+:$", prompt, flags=re.M)[1:]
        missing, useful = set(titles), 0
        for part in parts:
            new = missing & set(re.findall(r"^Doc \d+\(Title: (.*?)\)", part, flags=re.M))
            useful += bool(new)
            missing -= new
        return f"I went through all of them.\nFinal Answer: {useful}"

    return read


class ChatServer:
    """Answers ``POST /v1/chat/completions`` on 127.0.0.1: as told first, then as the reader does.

    What it can be told: a status; ``html``, ``half`` (of a JSON), ``array``, ``number`` (for a
    text), ``cut`` (a reply that ran out of tokens), ``hang`` (until the server is closed) and
    ``drop`` (the connection).
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.told: list[int | str] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock, self.closing = threading.Lock(), threading.Event()

    def answer(self, request: dict[str, Any]) -> tuple[int, bytes] | None:
        with self.lock:
            self.requests.append(request)
            told = self.told.pop(0) if self.told else "reply"
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self._answer(told, request["messages"][0]["content"])
        finally:
            with self.lock:
                self.at_once -= 1

    def _answer(self, told: int | str, prompt: str) -> tuple[int, bytes] | None:
        if isinstance(told, int):
            return told, json.dumps({"error": {"message": f"told to say {told}"}}).encode()
        if told in ("hang", "drop"):
            if told == "hang":
                self.closing.wait(10)
            return None
        if told == "html":
            return 200, b"<html><body>Welcome</body></html>"
        content = 3 if told == "number" else self.reader(prompt)
        finish = "length" if told == "cut" else "stop"
        choice = {"message": {"role": "assistant", "content": content}, "finish_reason": finish}
        body = json.dumps([] if told == "array" else {"choices": [choice]}).encode()
        return 200, body[: len(body) // 2] if told == "half" else body


@contextmanager
def serving(reader: Reader) -> Iterator[tuple[ChatServer, str]]:
    """A server and the address its API begins at, until the block ends."""
    chat = ChatServer(reader)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            request = json.loads(self.rfile.read(length))
            chat.headers.append(dict(self.headers))
            answered = chat.answer(request) if self.path == "/v1/chat/completions" else (404, b"")
            if answered is None:
                self.close_connection = True
                return
            status, body = answered
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield chat, f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        chat.closing.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
