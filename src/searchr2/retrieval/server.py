"""The retrieval server: the field's ``POST /retrieve`` over any retriever.

    {"queries": [text, ...] or text, "topk": k or null, "return_scores": false}
    {"result": [[{"id", "contents"}, ...], ...]}                           one list a query
    {"result": [[{"document": {"id", "contents"}, "score"}, ...], ...]}    with return_scores

``query`` is taken for ``queries``; without ``topk`` the server's own depth holds. ``contents`` is a
quoted title, a line break and the text. GET ``/health`` (is it up), ``/info`` (the index's
manifest and the limits) and ``/metrics`` (Prometheus) stand beside it. An error is
{"error": what} with status 413, 422, 500 or, where too much waits, 503: try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ValidationError, model_validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from searchr2.corpus import join_contents
from searchr2.ports import Retriever
from searchr2.retrieval.batching import QueueFull, SearchQueue
from searchr2.trajectory import Collection

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What one request, and all that wait together, may ask for."""

    k: int = 100
    """Passages a query."""
    queries: int = 4096
    """Queries of a request; Search-R1 sends 2,560 at once."""
    body: int = 16 << 20
    """Bytes of a request."""
    batch: int = 256
    """Queries searched together."""
    waiting: int = 1 << 16
    """Queries that wait; more are sent away with status 503."""


class Query(BaseModel):
    """A request; what else it holds is ignored."""

    queries: list[str] | str | None = None
    query: str | list[str] | None = None
    topk: int | None = None
    return_scores: bool = False

    @model_validator(mode="after")
    def _one(self) -> Query:
        if (self.queries is None) == (self.query is None):
            raise ValueError('give either "queries" or "query"')
        return self

    def texts(self) -> list[str]:
        given = self.query if self.queries is None else self.queries
        return [given] if isinstance(given, str) else list(given or [])


class Refusal(Exception):
    """A request that is not answered: a status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Metrics:
    """What /metrics shows."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "searchr2_requests", "Requests to /retrieve.", ["status"], registry=registry
        )
        self.queries = Counter("searchr2_queries", "Queries answered.", registry=registry)
        self.seconds = Histogram(
            "searchr2_request_seconds", "Seconds to the answer.", registry=registry
        )
        sizes = [2**power for power in range(13)]
        self.batches = Histogram(
            "searchr2_batch_queries", "Searched together.", registry=registry, buckets=sizes
        )
        self.waiting = Gauge("searchr2_waiting_queries", "Queries that wait.", registry=registry)


class Server:
    """The endpoints over one retriever; ``app`` is the ASGI application."""

    def __init__(
        self, retriever: Retriever, k: int, about: Mapping[str, Any], limits: Limits | None = None
    ) -> None:
        self._k, self._about = k, about
        self._limits = limits = limits or Limits()
        self._shown = Metrics()
        self._queue = SearchQueue(
            retriever, limits.batch, limits.waiting, self._shown.batches.observe
        )
        self._shown.waiting.set_function(lambda: self._queue.waiting)
        self.app = Starlette(
            routes=[
                Route("/retrieve", self._retrieve, methods=["POST"]),
                Route("/health", self._health),
                Route("/info", self._info),
                Route("/metrics", self._metrics),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(self._queue.close)

    async def _retrieve(self, request: Request) -> Response:
        began = time.perf_counter()
        response = await self._answer(request)
        self._shown.requests.labels(response.status_code).inc()
        self._shown.seconds.observe(time.perf_counter() - began)
        return response

    async def _answer(self, request: Request) -> Response:
        try:
            asked = await self._read(request)
            texts, k = asked.texts(), asked.topk or self._k
            found = await asyncio.wrap_future(self._queue.submit(texts, k)) if texts else []
            self._shown.queries.inc(len(texts))
            return JSONResponse({"result": rows(found, asked.return_scores)})
        except Refusal as refusal:
            return _error(refusal.status, str(refusal))
        except QueueFull:
            why = f"more than {self._limits.waiting} queries wait; try again"
            return _error(503, why, {"Retry-After": "1"})
        except Exception as error:
            LOG.exception("a search failed")
            return _error(500, f"the search failed: {type(error).__name__}: {error}")

    async def _read(self, request: Request) -> Query:
        """The request, inside the limits; raises ``Refusal``."""
        limits = self._limits
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > limits.body:
                raise Refusal(413, f"a request may have {limits.body} bytes")
        try:
            asked = Query.model_validate_json(body)
        except ValidationError as error:
            raise Refusal(422, "; ".join(_problem(e) for e in error.errors())) from None
        if not 0 <= (asked.topk or 0) <= limits.k:
            raise Refusal(422, f"topk: {asked.topk} is not between 1 and {limits.k}")
        if len(asked.texts()) > limits.queries:
            raise Refusal(413, f"a request may have {limits.queries} queries")
        return asked

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _info(self, request: Request) -> Response:
        return JSONResponse({"index": self._about, "k": self._k, "limits": asdict(self._limits)})

    async def _metrics(self, request: Request) -> Response:
        text = "text/plain; version=0.0.4; charset=utf-8"
        return Response(generate_latest(self._shown.registry), media_type=text)


def rows(found: list[Collection], scores: bool) -> list[list[dict[str, Any]]]:
    """The collections as the field writes them."""
    return [
        [
            {"document": row, "score": document.score} if scores else row
            for document in collection
            for row in [
                {"id": document.id, "contents": join_contents(document.title, document.text)}
            ]
        ]
        for collection in found
    ]


def _problem(error: Any) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place}: {error['msg']}" if place else str(error["msg"])


def _error(status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": why}, status, headers)
