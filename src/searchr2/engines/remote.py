"""``ports.Engine`` over servers that hold the weights: token ids go in, token ids come out.

The servers load every version of the weights from disk and name it. No reply is taken before all of
them name the version that was asked for, before the requests and after them, and every completion
carries it. What ended a completion is read off its ids by the policy's own codec, exactly as the
local engine does, so a server's trimming of text decides nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from searchr2.config import Engine
from searchr2.engines.decoding import STOP_WINDOW
from searchr2.engines.dialect import Dialect, Reply, Written, WrongWeights
from searchr2.engines.weights import Once, Weights, call
from searchr2.ports import Codec, Completion, Finish, Generate, Score
from searchr2.randomness import generator
from searchr2.servers import Client, json_of, key_in

T = TypeVar("T")

REMEDY = "look at the server's own log, at engine.urls and at docs/engines.md"
ONE_CLIENT = "nobody else may load weights into it meanwhile; run the same command again"


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
    ) -> None:
        self.dialect, self.settings, self.codec = dialect, settings, codec
        self.weights, self.once = weights, once
        self.urls = [url.rstrip("/") for url in settings.urls]
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

        async def one(i: int) -> T:
            url = self.urls[i * len(self.urls) // len(bodies)]
            address = f"{url}{self.dialect.path}"
            try:
                return await client.ask([address], bodies[i], lambda raw: read(json_of(raw), i))
            except WrongWeights as error:
                raise WrongWeights(f"{url}: {error}; {ONE_CLIENT}") from None

        async with self._client() as client:
            await client.all_of(self._check(client, url) for url in self.urls)
            replies = await client.all_of(one(i) for i in range(len(bodies)))
            await client.all_of(self._check(client, url) for url in self.urls)
        return replies

    async def _check(self, client: Client, url: str) -> None:
        version = await self.dialect.version(client, url)
        if version != self.loaded:
            raise WrongWeights(
                f"{url}: holds weights of version {version!r}, not {self.loaded!r}; {ONE_CLIENT}"
            )

    def _bring(self, version: str, new: bool) -> None:
        """Every server to ``version``, its prefixes forgotten."""

        async def bring() -> None:
            async with self._client() as client:
                await client.all_of(at(client, url) for url in self.urls)

        async def at(client: Client, url: str) -> None:
            dialect, slow = self.dialect, self.settings.load_timeout
            if not new and await dialect.version(client, url) == version:
                return await dialect.flush(client, url)
            await dialect.load(client, url, self.folder, version, slow)
            found = await dialect.version(client, url)
            if found != version:
                raise WrongWeights(
                    f"{url}: told to load version {version!r} from {self.folder}, it names"
                    f" {found!r}; is this server new enough (docs/engines.md)?"
                )

        asyncio.run(bring())
        self.weights.loaded()

    def _client(self) -> Client:
        settings = self.settings
        return Client(
            REMEDY,
            timeout=settings.timeout,
            retries=settings.retries,
            concurrency=settings.concurrency,
            key=key_in(settings.api_key_env, "engine"),
        )
