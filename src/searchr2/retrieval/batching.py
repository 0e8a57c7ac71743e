"""One thread that searches, and the queue before it.

FAISS and bm25s are asked by one thread only. While it is at work requests gather; then all that ask
for the same depth are searched together, so that batches grow with the load and nobody waits for a
batch to fill.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from searchr2.ports import Retriever
from searchr2.trajectory import Collection


class QueueFull(Exception):
    """As many queries wait as may wait."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits."""

    queries: Sequence[str]
    k: int
    found: Future[list[Collection]] = field(default_factory=Future)


class SearchQueue:
    """Answers requests from any thread by searching in one.

    ``batch`` is how many queries are searched together, ``room`` how many may wait; a request is
    never split. ``searched`` is told the number of queries of each batch.
    """

    def __init__(
        self,
        retriever: Retriever,
        batch: int,
        room: int,
        searched: Callable[[int], object] = lambda queries: None,
    ) -> None:
        self._retriever, self._batch, self._room = retriever, batch, room
        self._searched = searched
        self._requests: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="search", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Queries that wait."""
        with self._changed:
            return sum(len(request.queries) for request in self._requests)

    def submit(self, queries: Sequence[str], k: int) -> Future[list[Collection]]:
        """The collections of ``queries``, in time; raises ``QueueFull``."""
        request = Waiting(queries, k)
        with self._changed:
            if self._closing or (self._requests and self.waiting + len(queries) > self._room):
                raise QueueFull
            self._requests.append(request)
            self._changed.notify()
        return request.found

    def close(self) -> None:
        """Answer what waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while requests := self._next():
            wanted = [one for one in requests if one.found.set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)

    def _next(self) -> list[Waiting]:
        """The oldest request and those that fit beside it; none when all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._requests or self._closing)
            taken: list[Waiting] = []
            others: deque[Waiting] = deque()
            size = 0
            for request in self._requests:
                fits = size + len(request.queries) <= self._batch
                if not taken or (fits and request.k == taken[0].k):
                    taken.append(request)
                    size += len(request.queries)
                else:
                    others.append(request)
            self._requests = others
            return taken

    def _answer(self, requests: list[Waiting]) -> None:
        queries = [query for request in requests for query in request.queries]
        try:
            found = self._retriever.search(queries, requests[0].k)
        except Exception as error:  # it belongs to whoever asked
            if len(requests) == 1:
                requests[0].found.set_exception(error)
                return
            for request in requests:  # one of them asks what cannot be searched: not the others
                self._answer([request])
            return
        self._searched(len(queries))
        start = 0
        for request in requests:
            request.found.set_result(found[start : start + len(request.queries)])
            start += len(request.queries)
