"""What a kind of server has to be spoken to with, and what is read of its replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from searchr2.ports import Generate
from searchr2.servers import Client, ServerError, json_of

Reply = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What a server wrote, as it says: ids, nats, the stop string it saw, the weights' version."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    reason: str
    matched: str | None = None
    version: str | None = None


class WrongWeights(ServerError):
    """The server holds other weights than those that were asked for."""


class Dialect(Protocol):
    """How a kind of server is spoken to; ``written``, ``scored`` raise on what they cannot read."""

    path: str
    """Where completions and scores are asked for."""

    def generate(self, request: Generate, seed: int, eos_id: int) -> Reply: ...

    def written(self, reply: Reply, request: Generate) -> Written: ...

    def score(self, ids: tuple[int, ...], option: tuple[int, ...]) -> Reply: ...

    def scored(self, reply: Reply, option: tuple[int, ...]) -> Written: ...

    async def version(self, client: Client, url: str) -> str: ...

    async def load(
        self, client: Client, url: str, folder: str, version: str, timeout: float
    ) -> None:
        """Have the server sample from ``folder``, forget every prefix and name ``version``.

        Reading the weights may take ``timeout`` seconds.
        """

    async def flush(self, client: Client, url: str) -> None: ...


async def named(client: Client, address: str) -> str:
    """The version of the weights as a server tells it."""
    reply = await client.ask([address], read=json_of, method="GET")
    version = reply.get("weight_version") if isinstance(reply, dict) else None
    if not isinstance(version, str):
        raise ServerError(f"{address}: names no version; is it new enough (docs/engines.md)?")
    return version
