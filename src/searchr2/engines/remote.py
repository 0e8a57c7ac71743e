"""``ports.Engine`` over servers that hold the weights: token ids go in, token ids come out.

The servers load every version of the weights from disk and name it. No reply is taken before all of
them name the version that was asked for, before the requests and after them, and every completion
carries it. What ended a completion is read off its ids by the policy's own codec, exactly as the
local engine does, so a server's trimming of text decides nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from searchr2.config import Engine
from searchr2.engines.decoding import STOP_WINDOW
from searchr2.engines.dialect import Dialect, Reply, Written
from searchr2.engines.http import REMEDY, BadReply, Session, WrongWeights
from searchr2.engines.weights import Once, Weights, call
from searchr2.ports import Codec, Completion, Finish, Generate, Score
from searchr2.randomness import generator

T = TypeVar("T")


class RemoteEngine:
    """ports.Engine behind one address or several that hold the same weights.

    ``once`` runs what one process does for all that train together.
    """

    def __init__(
        self,
        dialect: Dialect,
        settings: Engine,
        codec: Codec,
        weights: Weights,
        once: Once = call,
        pause: float = 1.0,
    ) -> None:
        self.dialect, self.settings, self.codec = dialect, settings, codec
        self.weights, self.once, self.pause = weights, once, pause
        self.loaded: str | None = None
        """The version that the servers were last told to load, and where it lies."""
        self.folder = ""

    def refresh(self) -> None:
        """Bring the servers to the present weights; those that have them drop their prefixes."""
        version = self.weights.version
        new = version != self.loaded
        if new:
            self.folder = self.weights.folder()
        self.once(lambda: self._bring(version, new))
        self.loaded = version

    def generate(self, requests: Sequence[Generate]) -> list[Completion]:
        """Continue each request. The servers batch them; their number is no limit here."""
        self._current()
        dialect, eos = self.dialect, self.codec.eos_id
        seeds = [int(generator(*r.key).integers(2**31)) for r in requests]
        bodies = [dialect.generate(r, seed, eos) for r, seed in zip(requests, seeds, strict=True)]

        def read(reply: Reply, i: int) -> Completion:
            return self._completion(dialect.written(reply, requests[i]), requests[i])

        return self._ask(bodies, read)

    def score(self, requests: Sequence[Score]) -> list[tuple[tuple[float, ...], ...]]:
        """A request for each option: the log-probabilities of its ids as the end of a prompt."""
        self._current()
        pairs = dict.fromkeys((r.ids, o) for r in requests for o in r.options if o)
        asked = list(pairs)

        def read(reply: Reply, i: int) -> tuple[float, ...]:
            _, option = asked[i]
            scored = self.dialect.scored(reply, option)
            self._checked(scored, option)
            return scored.logprobs

        found = self._ask([self.dialect.score(*pair) for pair in asked], read)
        logp = dict(zip(asked, found, strict=True))
        return [tuple(logp.get((r.ids, o), ()) for o in r.options) for r in requests]

    def _current(self) -> None:
        if self.weights.version != self.loaded:
            self.refresh()

    def _completion(self, written: Written, request: Generate) -> Completion:
        ids, finish = self._end(written, request)
        self._checked(written, written.ids)
        return Completion(ids, written.logprobs[: len(ids)], finish, self.loaded)

    def _end(self, written: Written, request: Generate) -> tuple[tuple[int, ...], Finish]:
        """The ids up to the one that ends them, and how; what a server wrote beyond it is cut."""
        if not written.ids or len(written.ids) > request.max_new_tokens:
            raise ValueError(f"{len(written.ids)} ids where 1 to {request.max_new_tokens} may be")
        for end in range(1, len(written.ids) + 1):
            ids = written.ids[:end]
            if ids[-1] == self.codec.eos_id:
                return ids, "eos"
            tail = self.codec.decode(ids[-STOP_WINDOW:]) if request.stops else ""
            if any(stop in tail for stop in request.stops):
                return ids, "stop"
        if len(written.ids) == request.max_new_tokens:
            return written.ids, "length"
        if written.reason == "stop" and written.matched is None:
            return written.ids, "eos"  # another of the model's own ends of sequence
        raise ValueError(f"ended by {written.matched or written.reason!r}, which ids do not show")

    def _checked(self, written: Written, ids: tuple[int, ...]) -> None:
        """Raises ``ValueError`` or ``WrongWeights`` where a reply cannot be trained on."""
        if written.ids != ids or len(written.logprobs) != len(ids):
            raise ValueError("ids and log-probabilities that do not belong together")
        if not all(math.isfinite(logp) and logp <= 1e-3 for logp in written.logprobs):
            raise ValueError("a log-probability that is none")
        if written.version not in (None, self.loaded):
            raise WrongWeights(f"sampled from version {written.version!r}, not {self.loaded!r}")

    def _ask(self, bodies: Sequence[Reply], read: Callable[[Reply, int], T]) -> list[T]:
        return asyncio.run(self._all(bodies, read)) if bodies else []

    async def _all(self, bodies: Sequence[Reply], read: Callable[[Reply, int], T]) -> list[T]:
        """Replies in order. Neighbours go to one server: a group shares its prompt there."""
        urls = self.settings.urls

        async def one(session: Session, i: int) -> T:
            url = urls[i * len(urls) // len(bodies)]
            reply = await session.post(url, self.dialect.path, bodies[i])
            try:
                return read(reply, i)
            except WrongWeights as error:
                raise WrongWeights(f"{url}: {error}; {ONE_CLIENT}") from None
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                reason = f"{type(error).__name__} {error}"
                raise BadReply(f"{url}{self.dialect.path}: {reason}; {REMEDY}") from None

        async with Session(self.settings, self.pause) as session:
            await all_of([self._check(session, url) for url in urls])
            replies = await all_of([one(session, i) for i in range(len(bodies))])
            await all_of([self._check(session, url) for url in urls])
        return replies

    async def _check(self, session: Session, url: str) -> None:
        version = await self.dialect.version(session, url)
        if version != self.loaded:
            raise WrongWeights(
                f"{url}: holds weights of version {version!r}, not {self.loaded!r}; {ONE_CLIENT}"
            )

    def _bring(self, version: str, new: bool) -> None:
        """Every server to ``version``, its prefixes forgotten."""

        async def bring() -> None:
            async with Session(self.settings, self.pause) as session:
                await all_of([at(session, url) for url in self.settings.urls])

        async def at(session: Session, url: str) -> None:
            if not new and await self.dialect.version(session, url) == version:
                return await self.dialect.flush(session, url)
            await self.dialect.load(session, url, self.folder, version)
            found = await self.dialect.version(session, url)
            if found != version:
                raise WrongWeights(
                    f"{url}: told to load version {version!r} from {self.folder}, it names"
                    f" {found!r}; is this server new enough (docs/engines.md)?"
                )

        asyncio.run(bring())
        self.weights.loaded()


ONE_CLIENT = "nobody else may load weights into it meanwhile; run the same command again"


async def all_of(work: Sequence[Awaitable[T]]) -> list[T]:
    """The results in order; the first error ends the others."""

    async def result(one: Awaitable[T]) -> T:
        return await one

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(result(one)) for one in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
