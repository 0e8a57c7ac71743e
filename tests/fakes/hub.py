"""A Hugging Face hub on loopback: repositories of a few files, and every way a server can fail.

It answers what ``huggingface_hub`` asks (``tests/contract/test_hub.py`` has its own functions ask):
the listing of a commit, and the bytes of a file, for large ones by way of another address with
ranges, as the real hub sends clients to its CDN.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LFS = 100
"""Files from this size on are kept in LFS."""
_REQUESTS, _SECONDS = 400, 20.0
"""What a server answers at most, and how long one answer may take."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one answer that carries bytes of a file."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Close the connection after so many bytes."""
    silent: bool = False
    """Say nothing after the headers."""
    drip: float = 0.0
    """Seconds between single bytes."""
    whole: bool = False
    """Ignore Range."""
    content: bytes | None = None
    """Send other bytes, under another ETag unless ``same_etag``."""
    same_etag: bool = False
    unmeasured: bool = False
    """Say no length; the end of the connection is the end of the file."""


class FakeHub:
    def __init__(self) -> None:
        self.commits: dict[tuple[str, str], dict[str, dict[str, bytes]]] = {}
        self.faults: dict[str, list[Fault]] = {}
        """File name -> what goes wrong, one answer after the other; then all is well."""
        self.listing: Any = None
        """Another answer than the listing, where it is not ``None``."""
        self.gated: set[str] = set()
        self.requests: list[tuple[str, str, str | None]] = []
        """(file, or what was listed; Range)"""
        self.sent = 0
        """Bytes of files."""
        self.stopped = False
        self.tokens: list[str | None] = []
        """What the CDN was shown of the client's token."""
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(self)) for _ in range(2)]
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.endpoint, self.cdn = (f"http://127.0.0.1:{s.server_port}" for s in self._servers)

    def stop(self) -> None:
        self.stopped = True
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def commit(self, repo: str, files: dict[str, bytes], type_: str = "dataset") -> str:
        """Make ``files`` the newest commit of a repository; returns its name."""
        commits = self.commits.setdefault((type_, repo), {})
        name = hashlib.sha1(repr((len(commits), files)).encode()).hexdigest()
        commits[name] = files
        return name

    def ranges(self, file: str) -> list[str | None]:
        """The ranges a file was asked for in."""
        return [range_ for method, name, range_ in self.requests if (method, name) == ("GET", file)]


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if len(hub.requests) >= _REQUESTS:
                return self.error(503)
            path = unquote(urlsplit(self.path).path)
            if found := re.fullmatch(r"/cdn/(\w+)/(.*)", path):
                return self.file(*found.groups())
            api = r"/api/(model|dataset)s/([\w.-]+/[\w.-]+)"
            if found := re.fullmatch(api + "/tree/(.*)", path):
                return self.tree(*found.groups())
            api += "(?:/revision/(.*))?"
            if found := re.fullmatch(api, path):
                return self.listed(*found.groups())
            resolve = r"/(datasets/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.*)"
            if found := re.fullmatch(resolve, path):
                return self.resolve(*found.groups())
            return self.error(404)

        def listed(self, type_: str, repo: str, revision: str | None) -> None:
            hub.requests.append((self.command, f"listing of {repo}", None))
            if hub.listing is not None:
                return self.answer(200, hub.listing)
            if (found := self.find(type_, repo, revision)) is None:
                return None
            commit, files = found
            siblings = [_sibling(path, content) for path, content in files.items()]
            about = {"id": repo, "sha": commit, "siblings": siblings, "private": False, "tags": []}
            return self.answer(
                200, json.dumps(about).encode(), {"Content-Type": "application/json"}
            )

        def tree(self, type_: str, repo: str, revision: str) -> None:
            revision, _, folder = revision.partition("/")
            if (found := self.find(type_, repo, revision)) is not None:
                here = {path: x for path, x in found[1].items() if path.startswith(folder)}
                if not here:
                    return self.error(404, "EntryNotFound")
                rows = [_sibling(path, content) for path, content in here.items()]
                told = [
                    {
                        "type": "file",
                        "path": row["rfilename"],
                        "size": row["size"],
                        "oid": row["blobId"],
                    }
                    | ({"lfs": row["lfs"] | {"oid": row["lfs"]["sha256"]}} if "lfs" in row else {})
                    for row in rows
                ]
                self.answer(200, json.dumps(told).encode(), {"Content-Type": "application/json"})
            return None

        def find(
            self, type_: str, repo: str, revision: str | None
        ) -> tuple[str, dict[str, bytes]] | None:
            commits = hub.commits.get((type_, repo))
            if commits is None:
                self.error(401, "RepoNotFound")
                return None
            if repo in hub.gated:
                self.error(403, "GatedRepo")
                return None
            commit = list(commits)[-1] if revision in (None, "main") else str(revision)
            if commit not in commits:
                self.error(404, "RevisionNotFound")
                return None
            return commit, commits[commit]

        def resolve(self, prefix: str | None, repo: str, revision: str, path: str) -> None:
            found = self.find("dataset" if prefix else "model", repo, revision)
            if found is None:
                return None
            commit, files = found
            if path not in files:
                return self.error(404, "EntryNotFound")
            headers, content = {"X-Repo-Commit": commit}, files[path]
            if len(content) < LFS:
                return self.send_file(path, content, hashlib.sha1(content).hexdigest(), headers)
            sha256 = hashlib.sha256(content).hexdigest()
            headers |= {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
            return self.answer(302, b"", headers | {"Location": f"{hub.cdn}/cdn/{sha256}/{path}"})

        def file(self, sha256: str, path: str) -> None:
            hub.tokens.append(self.headers.get("Authorization"))
            for commits in hub.commits.values():
                for files in commits.values():
                    if path in files and hashlib.sha256(files[path]).hexdigest() == sha256:
                        return self.send_file(path, files[path], sha256, {})
            return self.error(404)

        def send_file(self, path: str, content: bytes, etag: str, headers: dict[str, str]) -> None:
            asked = self.headers.get("Range")
            hub.requests.append((self.command, path, asked))
            faults = hub.faults.get(path, [])
            fault = faults.pop(0) if faults and self.command == "GET" else Fault()
            if fault.content is not None:
                content = fault.content
                etag = etag if fault.same_etag else hashlib.sha256(content).hexdigest()
            if fault.status:
                return self.answer(fault.status, b"", fault.headers)
            status, start = 200, 0
            if asked and not fault.whole:
                start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
                if start >= len(content):
                    return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                headers = headers | {
                    "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"
                }
            headers = headers | {"ETag": f'"{etag}"', "Accept-Ranges": "bytes"} | fault.headers
            self.answer(status, content[start:], headers, fault)
            return None

        def error(self, status: int, code: str = "") -> None:
            self.answer(status, b"", {"X-Error-Code": code} if code else {})

        def answer(
            self,
            status: int,
            body: bytes,
            headers: dict[str, str] | None = None,
            fault: Fault = Fault(),
        ) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if fault.unmeasured:
                self.close_connection = True
                self.send_header("Connection", "close")
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET" and 200 <= status < 300:
                self.body(body, fault)

        def body(self, body: bytes, fault: Fault) -> None:
            until = time.monotonic() + _SECONDS
            body = body if fault.cut is None else body[: fault.cut]
            step = 1 if fault.drip else max(len(body), 1)
            for at in range(0, 0 if fault.silent else len(body), step):
                if hub.stopped or time.monotonic() > until:
                    break
                try:
                    self.wfile.write(body[at : at + step])
                except OSError:  # the client has left
                    break
                if "/cdn/" in self.path or "/resolve/" in self.path:
                    hub.sent += step
                time.sleep(fault.drip)
            while fault.silent and not hub.stopped and time.monotonic() < until:
                time.sleep(0.02)
            if fault.cut is not None or fault.silent:
                self.close_connection = True

    return Handler


def _sibling(path: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    sibling: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": blob}
    if len(content) >= LFS:
        sha256 = hashlib.sha256(content).hexdigest()
        sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
    return sibling
