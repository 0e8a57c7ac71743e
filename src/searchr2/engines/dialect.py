"""What a kind of server has to be spoken to with, and what is read of its replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from searchr2.engines.http import Session
from searchr2.ports import Generate

Reply = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What a server wrote, as it says: ids, nats, the stop string it saw, the weights' version."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    reason: str
    matched: str | None = None
    version: str | None = None


class Dialect(Protocol):
    """How a kind of server is spoken to; ``written``, ``scored`` raise on what they cannot read."""

    path: str
    """Where completions and scores are asked for."""

    def generate(self, request: Generate, seed: int, eos_id: int) -> Reply: ...

    def written(self, reply: Reply, request: Generate) -> Written: ...

    def score(self, ids: tuple[int, ...], option: tuple[int, ...]) -> Reply: ...

    def scored(self, reply: Reply, option: tuple[int, ...]) -> Written: ...

    async def version(self, session: Session, url: str) -> str: ...

    async def load(self, session: Session, url: str, folder: str, version: str) -> None:
        """Have the server sample from ``folder``, forget every prefix and name ``version``."""

    async def flush(self, session: Session, url: str) -> None: ...
