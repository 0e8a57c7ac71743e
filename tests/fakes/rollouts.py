"""vLLM's and SGLang's servers as far as their documentation tells, over an engine of our own.

They hold a real model: what they answer is what it samples. Like the real ones they trim the text
that they show, name the version they were told, and refuse what they do not know.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from searchr2.ports import Completion, Engine, Generate, Score

Loader = Callable[[str], Engine]
"""From a folder of weights to an engine that holds them."""
Told = int | str | Callable[[dict[str, Any]], object]
"""A status; ``html``, ``half`` (of a JSON), ``hang`` (until closed), ``drop``; or a change."""


LOADING = threading.Lock()
"""transformers patches its classes while it loads; two threads at it leave them patched."""


class Server:
    """What both kinds share: an engine, the version it goes by, a record of what was asked."""

    completions: str

    def __init__(self, load: Loader, before: Engine | None = None) -> None:
        self.load, self.engine, self.version = load, before, "default"
        self.told: dict[str, list[Told]] = {}
        self.calls: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock, self.closing = threading.Lock(), threading.Event()

    def loaded(self, folder: str) -> Engine:
        """The engine over the weights in ``folder``."""
        with LOADING:
            return self.load(folder)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes] | None:
        with self.lock:
            self.calls.append(path)
            told = self.told[path].pop(0) if self.told.get(path) else None
        if isinstance(told, int):
            return told, json.dumps({"error": f"told to say {told}"}).encode()
        if told in ("hang", "drop"):
            self.closing.wait(10 if told == "hang" else 0)
            return None
        if told == "html":
            return 200, b"<html><body>Welcome</body></html>"
        with self.lock:
            reply = self.reply(method, path.partition("?")[0], body)
        if reply is None or isinstance(reply, str):
            return (404, b'{"detail":"Not Found"}') if reply is None else (200, reply.encode())
        if callable(told):
            told(reply)
        raw = json.dumps(reply).encode()
        return 200, raw[: len(raw) // 2] if told == "half" else raw

    def reply(self, method: str, path: str, body: Any) -> dict[str, Any] | str | None:
        raise NotImplementedError

    def sample(
        self, ids: list[int], tokens: int, sampling: dict[str, Any], seed: int
    ) -> Completion:
        assert self.engine
        stops = tuple(sampling["stop"])
        request = Generate(tuple(ids), tokens, stops, sampling["temperature"], (seed,))
        return self.engine.generate([request])[0]

    def prompt_logprobs(self, ids: list[int]) -> list[float]:
        """Of every id but the first, given what stands before it."""
        assert self.engine
        return list(self.engine.score([Score(tuple(ids[:1]), (tuple(ids[1:]),))])[0][0])


class VllmServer(Server):
    """``vllm serve`` with VLLM_SERVER_DEV_MODE=1 and --logprobs-mode processed_logprobs."""

    completions = "/v1/completions"
    paused = False

    def reply(self, method: str, path: str, body: Any) -> dict[str, Any] | str | None:
        if (method, path) == ("GET", "/weight_info"):
            return {"weight_version": self.version}
        if path in ("/pause", "/resume"):
            self.paused = path == "/pause"
            return {"status": "paused" if self.paused else "resumed"}
        if path == "/collective_rpc":
            assert (self.paused, body["method"]) == (True, "reload_weights")
            self.engine = self.loaded(body["kwargs"]["weights_path"])
            return {"results": [None]}
        if path == "/update_weight_version":
            self.version = body["new_version"]
            return {"success": True, "new_version": self.version}
        if path == "/reset_prefix_cache":
            if self.engine:
                self.engine.refresh()
            return {"success": True}
        return self.complete(body) if path == self.completions and not self.paused else None

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(body)
        ids = body["prompt"]
        choice: dict[str, Any] = {"index": 0, "prompt_logprobs": None, "stop_reason": None}
        if (most := body.get("prompt_logprobs")) is not None:
            found = zip(ids[1:], self.prompt_logprobs(ids), strict=True)
            at = [{str(i): {"logprob": p, "rank": 1, "decoded_token": "?"}} for i, p in found]
            choice |= {"prompt_logprobs": [None, *at]}
            assert most == 0
        completion = self.sample(ids, body["max_tokens"], {"stop": []} | body, body["seed"])
        if body.get("logprobs") is not None:
            choice["logprobs"] = {"token_logprobs": list(completion.logprobs), "tokens": []}
        if completion.finish == "stop":
            choice["stop_reason"] = body["stop"][0]
        return {
            "object": "text_completion",
            "choices": [
                choice
                | {
                    "text": "trimmed",
                    "token_ids": list(completion.ids),
                    "prompt_token_ids": ids,
                    "finish_reason": "length" if completion.finish == "length" else "stop",
                }
            ],
        }


class SglangServer(Server):
    """``python -m sglang.launch_server``."""

    completions = "/generate"

    def reply(self, method: str, path: str, body: Any) -> dict[str, Any] | str | None:
        if (method, path) == ("GET", "/get_model_info"):
            return {"model_path": "m", "is_generation": True, "weight_version": self.version}
        if path == "/update_weights_from_disk":
            assert body["flush_cache"]
            self.engine, self.version = self.loaded(body["model_path"]), body["weight_version"]
            return {"success": True, "message": "Succeeded to update.", "num_paused_requests": 0}
        if path == "/flush_cache":
            if self.engine:
                self.engine.refresh()
            return "Cache flushed.\nPlease check backend logs for more details.\n"
        return self.complete(body) if path == self.completions else None

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(body)
        ids, sampling = body["input_ids"], body["sampling_params"]
        meta: dict[str, Any] = {"prompt_tokens": len(ids), "weight_version": self.version}
        start, tokens = body["logprob_start_len"], sampling["max_new_tokens"]
        if start >= 0:
            known = [None, *self.prompt_logprobs(ids)[start:]]
            meta["input_token_logprobs"] = [
                [p, i, None] for p, i in zip(known, ids[start:], strict=True)
            ]
        meta["finish_reason"] = {"type": "length", "length": tokens}
        written: Completion | None = None
        if tokens:
            written = self.sample(ids, tokens, sampling, sampling["sampling_seed"])
            if written.finish != "length":
                matched = sampling["stop"][0] if written.finish == "stop" else written.ids[-1]
                meta["finish_reason"] = {"type": "stop", "matched": matched}
            pairs = zip(written.logprobs, written.ids, strict=True)
            meta["output_token_logprobs"] = [[p, i, None] for p, i in pairs]
        return {"text": "", "output_ids": list(written.ids if written else ()), "meta_info": meta}


SERVERS: dict[str, type[Server]] = {"vllm": VllmServer, "sglang": SglangServer}


@contextmanager
def serving(server: Server) -> Iterator[str]:
    """The address of a server on 127.0.0.1, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "null")
            server.headers.append(dict(self.headers))
            answered = server.answer(self.command, self.path, body)
            self.close_connection = True
            if answered is None:
                return
            status, raw = answered
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            pass  # a client that gave up

    with Quiet(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            server.closing.set()
            listening.shutdown()
            thread.join(10)
