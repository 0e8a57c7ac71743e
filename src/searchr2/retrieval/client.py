"""The client of a retrieval server: ``POST /retrieve``, as Search-R1, verl and slime speak it.

It asks ``searchr2 serve`` and their servers alike:

    {"queries": [text, ...], "topk": k, "return_scores": true}
    {"result": [[{"document": {"id", "contents"}, "score": number}, ...], ...]}

Nothing that goes wrong is an empty answer. What may pass (a server that restarts, is busy or breaks
off) is tried again, at each address in turn, after pauses that grow and are random in part; what
will not pass (a request that is refused) is said at once. Queries go out in parts, side by side,
spread over the addresses.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from searchr2.config import ConfigError, Remote, load
from searchr2.corpus import split_contents
from searchr2.files import UserError, digest, verify_manifest, write_manifest
from searchr2.retrieval.folders import rebuilt_by, replacing_folder
from searchr2.trajectory import Collection, Document

PART = 64
"""Queries of one request."""
SIDE_BY_SIDE = 2
"""Requests under way at each address."""
BODY_LIMIT = 1 << 28
"""Bytes of an answer that are read; PART queries come to well below it."""
PAUSE = 0.5
"""Seconds before the second round, doubled for each further one, up to LONGEST_PAUSE."""
LONGEST_PAUSE = 15.0
REMEDY = "start the server (`searchr2 serve`), or correct retrieval.urls"


class RetrievalError(UserError):
    """A search without an answer."""


class Unreachable(RetrievalError):
    """No answer: refused, cut off, too late, or a status that says to try again (429, 5xx)."""


class BadReply(RetrievalError):
    """An answer that is none: HTML, half a JSON, too few results, a score that is not a number."""


class RequestRefused(RetrievalError):
    """A status that says not to try again (4xx, or a redirection)."""


class Http:
    """The ``Retriever`` behind one address or several that serve the same index."""

    def __init__(self, settings: Remote) -> None:
        self.urls = [endpoint(url) for url in settings.urls]
        self._settings = settings

    @classmethod
    def load(cls, folder: Path) -> Http:
        """The client of the addresses that ``folder`` names (``write``), once they answer."""
        manifest = verify_manifest(folder, rebuilt_by(folder))
        known = {key: manifest[key] for key in Remote.model_fields if key in manifest}
        client = cls(load(Remote, known, folder))
        client.search(["is anybody there?"], 1)
        return client

    def search(self, queries: Sequence[str], k: int) -> list[Collection]:
        """What the server found for each query; raises ``RetrievalError``, never leaves one out."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        return asyncio.run(self._search(list(queries), k)) if queries else []

    def titles(self) -> None:
        """Unknown: the passages are the server's."""

    async def _search(self, queries: list[str], k: int) -> list[Collection]:
        settings = self._settings
        parts = [queries[start : start + PART] for start in range(0, len(queries), PART)]
        free = asyncio.Semaphore(SIDE_BY_SIDE * len(self.urls))
        failures: dict[str, RetrievalError] = {}

        async def answer(session: aiohttp.ClientSession, number: int) -> list[Collection]:
            async with free:
                return await self._ask(session, parts[number], k, number, failures)

        timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        try:
            async with (
                asyncio.timeout(settings.deadline_s),
                aiohttp.ClientSession(timeout=timeout) as session,
            ):
                found = await asyncio.gather(*(answer(session, i) for i in range(len(parts))))
        except TimeoutError:
            said = _said(failures) or "no answer"
            raise Unreachable(
                f"{said}; gave up after {settings.deadline_s:g} s; {REMEDY}"
            ) from None
        return [collection for part in found for collection in part]

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        queries: list[str],
        k: int,
        first: int,
        failures: dict[str, RetrievalError],
    ) -> list[Collection]:
        """The answer to one request, from the address numbered ``first`` or one after it."""
        for tries in range(self._settings.retries + 1):
            if tries:
                pause = min(LONGEST_PAUSE, PAUSE * 2 ** (tries - 1))
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            for turn in range(len(self.urls)):
                url = self.urls[(first + turn) % len(self.urls)]
                try:
                    body = await self._post(session, url, queries, k)
                    return read_reply(body, url, len(queries), k)
                except (Unreachable, BadReply) as error:
                    failures[url] = error
        worst = next((e for e in failures.values() if isinstance(e, BadReply)), Unreachable())
        tried = self._settings.retries + 1
        raise type(worst)(f"{_said(failures)}; tried {tried} times; {REMEDY}")

    async def _post(
        self, session: aiohttp.ClientSession, url: str, queries: list[str], k: int
    ) -> bytes:
        request = {"queries": queries, "topk": k, "return_scores": True}
        try:
            async with session.post(url, json=request, allow_redirects=False) as response:
                body = b""
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > BODY_LIMIT:
                        raise BadReply(f"{url}: answers more than {BODY_LIMIT} bytes")
        except TimeoutError:
            late = f"no answer within {self._settings.timeout_s:g} s"
            raise Unreachable(f"{url}: {late}") from None
        except aiohttp.ClientPayloadError:
            raise BadReply(f"{url}: the answer breaks off") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{url}: {error or type(error).__name__}") from None
        said = f"{url}: status {response.status}: {_begin(body)}"
        if response.status in (408, 429) or response.status >= 500:
            raise Unreachable(said)
        if response.status != 200:
            raise RequestRefused(f"{said}; is that a retrieval server, and of this kind?")
        return body


def read_reply(body: bytes, url: str, count: int, k: int) -> list[Collection]:
    """The collections of an answer to ``count`` queries; raises ``BadReply`` with the reason."""
    try:
        reply = json.loads(body)
    except ValueError:
        raise BadReply(f"{url}: answers what is not JSON: {_begin(body)}") from None
    results = reply.get("result") if isinstance(reply, dict) else None
    if not isinstance(results, list):
        raise BadReply(f"{url}: answers without a list of results: {_begin(body)}")
    if len(results) != count:
        raise BadReply(f"{url}: answers {len(results)} results to {count} queries")
    try:
        return [tuple(_document(item) for item in found[:k]) for found in results]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadReply(
            f"{url}: a result is not {{'document': {{'id', 'contents'}}, 'score'}}: "
            f"{type(error).__name__} {error}"
        ) from None


def _document(item: dict[str, Any]) -> Document:
    document, score = item["document"], item["score"]
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise ValueError(f"the score is {score!r}")
    contents = document.get("contents")
    if contents is None:
        title, text = document["title"], document["text"]
        contents = f"{title}\n{text}"
    elif not contents.strip():
        raise ValueError("the contents are empty")
    else:
        title, text = split_contents(contents)
    known = document.get("id")
    return Document(str(digest(contents) if known is None else known), title, text, float(score))


def write(folder: Path, settings: Remote) -> None:
    """An index folder that names addresses instead of holding an index (``Http.load``)."""
    if not [endpoint(url) for url in settings.urls]:
        raise ConfigError("retrieval.urls: kind http needs the address of a server, or of several")
    with replacing_folder(folder) as aside:
        write_manifest(aside, {"kind": "http", **settings.model_dump()})


def endpoint(url: str) -> str:
    """The address to post to: /retrieve where ``url`` names a server alone."""
    parts = urlsplit(url)
    if parts.username or parts.password:  # never printed
        raise ConfigError("retrieval.urls: a password in an address would be kept with the results")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"retrieval.urls: {url!r} is not like http://127.0.0.1:8000/retrieve")
    return parts._replace(path="/retrieve").geturl() if parts.path in ("", "/") else url


def _said(failures: dict[str, RetrievalError]) -> str:
    return "; ".join(str(error) for error in failures.values())


def _begin(body: bytes) -> str:
    """The first words of an answer, in quotes."""
    return repr(body[:80].decode(errors="replace"))
