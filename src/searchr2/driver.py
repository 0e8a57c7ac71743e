"""Runs many one-trajectory procedures side by side and answers their requests in batches.

The only place that knows of batching: Algorithms 1 and 2 are written for one trajectory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from searchr2.ports import Engine, Generate, Procedure, Reply, Request, Retriever, Score, Search

R = TypeVar("R")
A = TypeVar("A")


def drive(
    procedures: Iterable[Procedure[R]],
    engine: Engine | None,
    retriever: Retriever | None,
    k: int,
    in_flight: int | None = None,
    finished: Callable[[], object] = lambda: None,
) -> list[R]:
    """The results of all procedures, in their order.

    At most ``in_flight`` run at once (all, by default); ``finished`` is called as each one ends.
    What a procedure is told never depends on which others run beside it, save for float rounding.
    ``engine`` or ``retriever`` may be ``None`` where nothing will ask it.
    """
    waiting = deque(enumerate(procedures))
    limit = in_flight or len(waiting)
    pending: dict[int, tuple[Procedure[R], Request]] = {}
    results: dict[int, R] = {}

    def resume(index: int, procedure: Procedure[R], reply: Reply | None) -> None:
        try:
            pending[index] = (procedure, procedure.send(cast(Reply, reply)))
        except StopIteration as end:
            results[index] = end.value
            finished()

    while waiting or pending:
        while waiting and len(pending) < limit:
            index, procedure = waiting.popleft()
            resume(index, procedure, None)
        replies = answer({i: request for i, (_, request) in pending.items()}, engine, retriever, k)
        for index, reply in replies.items():
            procedure, _ = pending.pop(index)
            resume(index, procedure, reply)
    return [results[index] for index in sorted(results)]


def answer(
    requests: dict[int, Request], engine: Engine | None, retriever: Retriever | None, k: int
) -> dict[int, Reply]:
    """Answer searches and scores at once, and generations only when nothing else is pending.

    So the costly kind runs in the fullest batches.
    """
    searches = {i: r for i, r in requests.items() if isinstance(r, Search)}
    scores = {i: r for i, r in requests.items() if isinstance(r, Score)}
    replies: dict[int, Reply] = {}
    if searches:
        queries = sorted({request.query for request in searches.values()})
        found = dict(zip(queries, asked(retriever).search(queries, k), strict=True))
        replies.update({i: found[request.query] for i, request in searches.items()})
    if scores:
        replies.update(zip(scores, asked(engine).score(list(scores.values())), strict=True))
    turns = {i: r for i, r in requests.items() if isinstance(r, Generate)}
    if turns and not replies:
        replies.update(zip(turns, asked(engine).generate(list(turns.values())), strict=True))
    return replies


def asked(adapter: A | None) -> A:
    if adapter is None:
        raise ValueError("a procedure asked for an engine or a retriever, and there is none")
    return adapter
