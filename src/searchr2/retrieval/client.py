"""The client of a retrieval server: ``POST /retrieve``, as Search-R1, verl and slime speak it.

It asks ``searchr2 serve`` and their servers alike:

    {"queries": [text, ...], "topk": k, "return_scores": true}
    {"result": [[{"document": {"id", "contents"}, "score": number}, ...], ...]}

Nothing that goes wrong is an empty answer (``servers``). Queries go out in parts, side by side,
spread over the addresses.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from searchr2.config import ConfigError, Remote, load
from searchr2.corpus import split_contents
from searchr2.files import digest, verify_manifest, write_manifest
from searchr2.retrieval.folders import rebuilt_by, replacing_folder
from searchr2.servers import Client, json_of
from searchr2.trajectory import Collection, Document

PART = 64
"""Queries of one request."""
SIDE_BY_SIDE = 2
"""Requests under way at each address."""
REMEDY = "does a retrieval server run there (`searchr2 serve`)? If not, correct retrieval.urls"


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
        """What the server found for each query; raises ``ServerError``, never leaves one out."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        return asyncio.run(self._search(list(queries), k)) if queries else []

    def titles(self) -> None:
        """Unknown: the passages are the server's."""

    async def _search(self, queries: list[str], k: int) -> list[Collection]:
        settings = self._settings
        parts = [queries[start : start + PART] for start in range(0, len(queries), PART)]
        async with Client(
            REMEDY,
            timeout=settings.timeout_s,
            retries=settings.retries,
            concurrency=SIDE_BY_SIDE,
            deadline=settings.deadline_s,
        ) as client:
            found = await client.all_of(
                self._part(client, number, part, k) for number, part in enumerate(parts)
            )
        return [collection for part in found for collection in part]

    async def _part(
        self, client: Client, number: int, queries: list[str], k: int
    ) -> list[Collection]:
        """The answer to one request, from the address of its turn or one after it."""
        first = number % len(self.urls)
        request = {"queries": queries, "topk": k, "return_scores": True}
        return await client.ask(
            [*self.urls[first:], *self.urls[:first]],
            request,
            lambda raw: collections(json_of(raw), len(queries), k),
        )


def collections(reply: Any, count: int, k: int) -> list[Collection]:
    """The collections of an answer to ``count`` queries; raises ``ValueError`` with the reason."""
    results = reply.get("result") if isinstance(reply, dict) else None
    if not isinstance(results, list):
        raise ValueError("answers without a list of results")
    if len(results) != count:
        raise ValueError(f"answers {len(results)} results to {count} queries")
    try:
        return [tuple(_document(item) for item in found[:k]) for found in results]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            "a result is not {'document': {'id', 'contents'}, 'score'}: "
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
