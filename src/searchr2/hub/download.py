"""One file: its bytes appended to a part beside it, checked, and only then given its name."""

from __future__ import annotations

import glob
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import get_session, hf_raise_for_status
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from searchr2.hub.lock import FetchError
from searchr2.hub.remote import Hub, Interrupted, Patience
from searchr2.progress import bar

_BLOCK = 8 << 20


@dataclass(frozen=True)
class Wanted:
    """A file to have at ``target``; of ``sha256`` and ``blob`` one at least is known."""

    repo: str
    type: str
    revision: str
    path: str
    target: Path
    size: int
    sha256: str | None
    blob: str | None

    @property
    def part(self) -> Path:
        """What has come so far. Its name says of which content, so none is continued as another."""
        content = (self.sha256 or self.blob or "")[:16]
        return self.target.with_name(f".{self.target.name}.{content}.part")

    def missing(self) -> int:
        """Bytes still to come."""
        if self.target.exists():
            return 0
        return self.size - (self.part.stat().st_size if self.part.exists() else 0)


def download(wanted: Wanted, hub: Hub) -> str:
    """Fetch what is missing of a file and return its sha256.

    Raises ``FetchError``: it cannot be had, or its bytes are others than they must be; these are
    removed then.
    """
    part = wanted.part
    part.parent.mkdir(parents=True, exist_ok=True)
    for other in part.parent.glob(f".{glob.escape(wanted.target.name)}.*.part"):
        if other != part:  # of a content that is not wanted any more
            other.unlink()
    part.touch()
    shown = bar(wanted.size, wanted.target.name, "B", done=part.stat().st_size)
    transfer = _Transfer(wanted, hub, shown)
    what = f"{wanted.repo}, {wanted.path}"
    with shown:
        while part.stat().st_size != wanted.size:
            hub.patiently(transfer.attempt, lambda: part.stat().st_size, what)
    try:
        sha256 = check(wanted, part)
    except FetchError as error:
        part.unlink()
        raise FetchError(
            f"{error}; it was removed. The same command fetches it anew; if that ends here again,"
            f" {hub.endpoint} has another file"
        ) from None
    part.replace(wanted.target)
    return sha256


def check(wanted: Wanted, path: Path) -> str:
    """The sha256 of the file at ``path``; raises ``FetchError`` where its bytes are others."""
    with bar(wanted.size, f"checking {wanted.target.name}", "B") as shown, path.open("rb") as file:
        sha256, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % wanted.size)
        while block := file.read(_BLOCK):
            sha256.update(block)
            if wanted.sha256 is None:
                blob.update(block)
            shown.update(len(block))
    found, expected = sha256.hexdigest(), wanted.sha256
    if expected is None:
        found, expected = blob.hexdigest(), wanted.blob or ""
    if found != expected:
        raise FetchError(f"{path}: wrong checksum, {found} instead of {expected}")
    return sha256.hexdigest()


class _Transfer:
    """The attempts at one file; they must all meet the same content."""

    def __init__(self, wanted: Wanted, hub: Hub, shown: Any) -> None:
        self.wanted, self.patience, self.shown = wanted, hub.patience, shown
        self.url = hub.url(wanted.repo, wanted.type, wanted.revision, wanted.path)
        self.etag: str | None = None

    def attempt(self) -> None:
        """Append what the server sends; ``Interrupted`` where that is not yet all."""
        part, size = self.wanted.part, self.wanted.size
        have = part.stat().st_size
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if 0 < have < size:
            headers["Range"] = f"bytes={have}-"
        client, silence = get_session(), self.patience.silence
        with client.stream("GET", self.url, headers=headers, timeout=silence) as response:
            if response.status_code == 416:
                self._start_over("it has no such part")
            hf_raise_for_status(response)
            start = self._where(response, have)
            with part.open("r+b") as file:
                file.seek(start)
                file.truncate()  # a server that ignores Range sends the whole file
                self.shown.update(start - self.shown.n)
                for block in _paced(response, self.patience):
                    file.write(block)
                    self.shown.update(len(block))
                    start += len(block)
                    if start > size:
                        self._start_over(f"it is longer than {size} bytes")
        if start < size:
            raise Interrupted(f"it ended after {start} of {size} bytes")

    def _where(self, response: httpx2.Response, have: int) -> int:
        """The byte a response begins at; starts over where it belongs to another content."""
        etag = response.headers.get("ETag")
        if self.etag not in (None, etag):
            self.etag = None
            self._start_over("the file changed while it was fetched")
        self.etag = etag
        if response.status_code != 206:
            return 0
        asked = f"bytes {have}-{self.wanted.size - 1}/{self.wanted.size}"
        if response.headers.get("Content-Range") != asked:
            self._start_over("it sends another part than was asked for")
        return have

    def _start_over(self, reason: str) -> None:
        self.wanted.part.write_bytes(b"")
        raise Interrupted(reason, progress=False)


def _paced(response: httpx2.Response, patience: Patience) -> Iterator[bytes]:
    """The bytes of a response; ``Interrupted`` where they only drip."""
    since, bytes_ = time.monotonic(), 0
    for block in response.iter_bytes():
        yield block
        bytes_ += len(block)
        if (seconds := time.monotonic() - since) > patience.window:
            if bytes_ < patience.slowest * seconds:
                rate = f"{bytes_ / seconds:.0f} bytes a second"
                raise Interrupted(f"it sends {rate}", progress=False)
            since, bytes_ = time.monotonic(), 0
